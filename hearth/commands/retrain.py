"""`hearth retrain`: rounds over cells, a gate, and promotion or not; once, or whenever the time has come."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hearth import environment
from hearth.commands.options import JsonOption, SigningKeyOption
from hearth.terminal import ERR, OUT, print_json, quality_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from hearth.retraining.place import Place
    from hearth.retraining.record import RetrainingRecord

ANOTHER_IS_UNDER_WAY = 75
"""The exit status of a training that another one kept out: try again later (EX_TEMPFAIL of sysexits.h)."""


def retrain(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="The federation that `hearth federation up` keeps running."),
    ] = None,
    superlink: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", envvar=environment.FEDERATION_ADDRESS, help="Or: where its SuperLink listens."
        ),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(
            envvar=environment.FEDERATION_AUTHORITY, help="PEM file of the certificate that signed the SuperLink's."
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(metavar="PLACE", envvar=environment.REGISTRY, help="Folder or URL of the checkpoint registry."),
    ] = None,
    signing_key: SigningKeyOption = None,
    centre: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            envvar=environment.FEDERATION_CENTRE,
            help="The folder that the ServerApp's process reads.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings in .toml or .json, as examples/retrain.toml has them.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="Catalogue: items.csv[.gz]. Default: the items that are in production.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="The most rounds. Default: 12.")] = None,
    cells: Annotated[
        int | None, typer.Option(min=1, help="Cells to wait for. Default: all of the folder's federation.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option(min=1, help="The fewest cells that make a round. Default: more than half.")
    ] = None,
    deadline: Annotated[float | None, typer.Option(min=1.0, help="Seconds for a cell's answer. Default: 600.")] = None,
    least_new_events: Annotated[
        int | None, typer.Option(min=0, help="Train only when people have met so many items since. Default: 1.")
    ] = None,
    first: Annotated[
        bool, typer.Option("--first", help="Where nothing is in production: promote without asking the gate.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Begin with a new model, and not with production's item vectors.")
    ] = False,
    schedule: Annotated[
        str | None, typer.Option(metavar="CRON", help="Go on for ever, at these times: minute hour day month weekday.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Whose clock the schedule is about.")] = "UTC",
    report_to: Annotated[
        Path | None,
        typer.Option(
            "--report-to", metavar="FOLDER", help="Where reports go. Default: reports/ in FOLDER, or beside --centre."
        ),
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option(help="A text file of metrics for Prometheus, written after each retraining.")
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(envvar=environment.ACTOR, help="Who promotes, for the trail. Default: user@machine."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train anew over the cells that are there, and promote the candidate if the gate lets it pass.

    Candidate and production are judged by the same people's held-out items, in the cells. The status is 0 whether the
    candidate was promoted, production kept, or nothing trained as too little is new; the report says which. It is 75
    when another training of the federation is under way, and 1 when this one failed.

    Example: `hearth retrain --folder federation --schedule "0 3 * * *" --time-zone Europe/Vienna`
    """
    import logging

    from hearth.federation.alone import AlreadyTraining
    from hearth.retraining.settings import read_retraining_settings
    from training.run_log import RoundRecord

    settings = read_retraining_settings(
        config,
        {
            "items": items,
            "training.rounds": rounds,
            "cells": cells,
            "quorum": quorum,
            "deadline_seconds": deadline,
            "least_new_events": least_new_events,
            "gate.first": first or None,
            "start": "new" if new else None,
        },
    )
    if folder is not None:
        _require_alone(context, "superlink", "authority", "registry", "signing_key", "centre")

    def place() -> "Place":
        from hearth.retraining.place import place_elsewhere, place_of_folder

        if folder is not None:
            return place_of_folder(folder)
        return place_elsewhere(superlink, authority, registry, signing_key or environment.signing_key_file(), centre)

    def show(record: RoundRecord) -> None:
        ERR.print(
            f"round {record.round_number}: {record.cohort} people, loss {record.loss:.4f}, {record.seconds:.1f} s",
            soft_wrap=True,
        )

    reports = report_to or (folder or (centre or Path()).parent) / "reports"

    def once() -> "RetrainingRecord":
        where = place()
        from hearth.retraining.once import Told, retrain_once

        record, page = retrain_once(where, settings, Told(reports, metrics_file, show), actor)
        if as_json:
            print_json({**record.model_dump(mode="json", exclude={"rounds", "settings"}), "report": str(page)})
        else:
            _show(record, page)
        return record

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _end_at_sigterm()
    if schedule is not None:
        _go_on(schedule, time_zone, reports, once)
        return
    try:
        once()
    except AlreadyTraining as error:
        ERR.print(f"error: {error}", soft_wrap=True)
        raise typer.Exit(ANOTHER_IS_UNDER_WAY) from error


def _require_alone(context: typer.Context, *names: str) -> None:
    """Raise `typer.BadParameter` where one of these was given; what the environment says of them counts for nothing."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"--{name.replace('_', '-')} is for a federation without --folder, which has its own"
            )


def _end_at_sigterm() -> None:
    """SIGTERM ends as Ctrl-C does: the run is stopped, its rounds are saved."""
    import signal

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def _go_on(schedule: str, time_zone: str, reports: Path, once: "Callable[[], RetrainingRecord]") -> None:
    """Until SIGTERM or Ctrl-C; what goes wrong in one retraining is said, and the next has its turn."""
    import time
    from datetime import datetime

    from feature_store.errors import HearthError
    from hearth.retraining.cron import next_time, parse_cron, zone_of
    from hearth.retraining.repeating import repeat, utc_now
    from hearth.retraining.reports import last_start

    cron, zone = parse_cron(schedule), zone_of(time_zone)

    def run() -> None:
        try:
            once()
        except (HearthError, OSError) as error:
            ERR.print(f"error: {error}", soft_wrap=True)

    def told(due: datetime) -> None:
        ERR.print(f"the next retraining is due on {due.astimezone(zone):%Y-%m-%d at %H:%M %Z}", soft_wrap=True)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    try:
        repeat(
            lambda after: next_time(cron, after, zone),
            run,
            wait,
            since=last_start(reports) or utc_now(),
            waits_until=told,
        )
    except KeyboardInterrupt:
        ERR.print("ended")


def _show(record: "RetrainingRecord", page: Path) -> None:
    if record.figures:
        OUT.print(quality_table("Quality on what the cells hold out", record.figures))
    OUT.print(f"{record.decision}: {record.why}.", soft_wrap=True)
    if record.candidate:
        OUT.print(f"Candidate {record.candidate}; production before: {record.production or 'none'}.", soft_wrap=True)
    OUT.print(f"Report: {page}", soft_wrap=True)
