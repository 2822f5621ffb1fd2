"""A run: asked of the SuperLink, watched until it is over, and its outcome, which is true where Flower's is not.

A ServerApp that is killed says nothing of its own. Its rounds are saved, so the run is asked for again, a bounded
number of times, and goes on from there.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from hearth.federation.alone import ENDING_SECONDS, alone, clean_up
from hearth.federation.control import Control, RunState
from hearth.federation.layout import Layout
from training.federation.centre import Request, RunOutcome, read_outcome, write_request
from training.federation.errors import FederationError
from training.federation.one_run import is_over
from training.run_log import RoundRecord
from training.saved_rounds import log_of_rounds

_LOOK_SECONDS = 0.5
AWAY_SECONDS = 120.0
"""How long a SuperLink may be gone: its supervisor starts it again within seconds."""
RESTARTS = 3
"""How often a run whose ServerApp was killed is asked for again."""


class Shown:
    """The rounds shown so far: each once, those of earlier sessions never."""

    def __init__(self, show: Callable[[RoundRecord], None]) -> None:
        self._show, self._since, self._last = show, datetime.now(UTC), 0

    def look(self, records: Sequence[RoundRecord]) -> None:
        """Show those that are new."""
        for record in records:
            if record.finished >= self._since and record.round_number > self._last:
                self._last = record.round_number
                self._show(record)


def run_to_end(
    control: Control,
    layout: Layout,
    request: Request,
    show: Callable[[RoundRecord], None],
    restarted: Callable[[str], None] = lambda _: None,
) -> RunOutcome:
    """`run_request` in the centre of that federation, alone; what one that was killed had asked for is stopped first.

    Raises:
        AlreadyTraining: another training is under way; nothing is asked for then.
    """
    with alone(layout.centre) as turn:
        if turn.crashed is not None:
            clean_up(control, turn.crashed, layout.centre)
        return run_request(control, layout.centre, request, show, restarted, turn.began)


def run_request(
    control: Control,
    centre: Path,
    request: Request,
    show: Callable[[RoundRecord], None],
    restarted: Callable[[str], None] = lambda _: None,
    began: Callable[[int], None] = lambda _: None,
) -> RunOutcome:
    """Let the federation do what the request asks for.

    Args:
        control: of its SuperLink.
        centre: the folder of requests that the ServerApp reads.
        request: see there.
        show: told of each round as it is done.
        restarted: told why the run is asked for again.
        began: told the number of each run that is asked for.

    Raises:
        FederationError: the run failed; the message says why. Or the SuperLink is gone for good.
    """
    shown, why = Shown(show), ""
    for attempt in range(1 + RESTARTS):
        if attempt:
            restarted(why)
            is_over(centre, ENDING_SECONDS)  # where Flower has only missed it, it ends by itself
        name = f"request-{secrets.token_hex(6)}"
        write_request(centre, name, request.model_copy(update={"fresh": request.fresh and not attempt}))
        run_id = control.start(name)
        began(run_id)
        state = _watched(control, run_id, lambda: shown.look(rounds_so_far(request.saved)))
        outcome = read_outcome(centre, name)
        if outcome is not None and outcome.error is not None:
            raise FederationError(outcome.error)
        if outcome is not None:
            shown.look(outcome.log)
            return outcome
        if state.outcome == "stopped":
            raise FederationError("the run was stopped; the same command goes on from its last round")
        why = state.details or state.outcome or "nothing"
    raise FederationError(f"the run failed {1 + RESTARTS} times without saying why; Flower says: {why}")


def rounds_so_far(saved: Path) -> list[RoundRecord]:
    """The rounds on record of a training that goes on; the half of a line that is being written is left out."""
    try:
        lines = log_of_rounds(saved).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        with suppress(ValidationError):
            records.append(RoundRecord.model_validate_json(line))
    return records


def _watched(control: Control, run_id: int, look: Callable[[], None]) -> RunState:
    """The state of that run when it has ended; interrupted, the run is stopped."""
    away_since: float | None = None
    try:
        while True:
            look()
            try:
                state, away_since = control.state(run_id), None
            except FederationError:  # the SuperLink may be starting again
                now = time.monotonic()
                away_since = now if away_since is None else away_since
                if now - away_since > AWAY_SECONDS:
                    raise
            else:
                if state.is_finished:
                    return state
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        with suppress(FederationError):
            control.stop(run_id)
        raise
