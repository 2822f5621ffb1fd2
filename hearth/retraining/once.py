"""Once: one retraining, alone, from the request to its report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feature_store.errors import HearthError
from hearth.federation.alone import alone, clean_up
from hearth.federation.control import opened_control
from hearth.federation.running import run_request
from hearth.retraining.metrics_file import write_metrics
from hearth.retraining.place import Place
from hearth.retraining.record import RetrainingRecord, failed, record_of
from hearth.retraining.repeating import utc_now
from hearth.retraining.reports import write_report
from hearth.retraining.settings import RetrainingSettings
from training.run_log import RoundRecord


@dataclass(frozen=True, slots=True)
class Told:
    """Where a retraining says what became of it.

    reports: a folder. metrics: a file, where there is one. show: told of each round.
    """

    reports: Path
    metrics: Path | None = None
    show: Callable[[RoundRecord], None] = lambda _: None


def retrain_once(
    place: Place, settings: RetrainingSettings, told: Told, actor: str | None = None
) -> tuple[RetrainingRecord, Path]:
    """Do it, and write the report, of a failure as well; the record and where its page is.

    actor: who promotes, for the registry's trail; else the account that the ServerApp runs under.

    Raises:
        AlreadyTraining: another training is under way; nothing is written then.
        HearthError, OSError: it failed; the report has the error.
    """
    started, clock, restarts = utc_now(), time.monotonic(), list[str]()
    with alone(place.centre) as turn:
        try:
            request = settings.request(place.registry, place.signing_key, place.state, place.cells or 1, actor)
            with opened_control(place.address, place.authority) as control:
                if turn.crashed is not None:
                    clean_up(control, turn.crashed, place.centre)
                outcome = run_request(control, place.centre, request, told.show, restarts.append, turn.began)
            record = record_of(outcome, settings, started, time.monotonic() - clock, tuple(restarts))
        except (HearthError, OSError) as error:
            _write(told, failed(error, settings, started, time.monotonic() - clock, tuple(restarts)))
            raise
        return record, _write(told, record)


def _write(told: Told, record: RetrainingRecord) -> Path:
    page = write_report(told.reports, record)
    if told.metrics is not None:
        write_metrics(told.metrics, record)
    return page
