"""`hearth federation`: cells that train together over Flower, on one machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from feature_store.errors import BadInput
from hearth.commands.options import ConfigOption, JsonOption
from hearth.commands.retrain import ANOTHER_IS_UNDER_WAY
from hearth.terminal import ERR, OUT, print_json, table

if TYPE_CHECKING:
    from hearth.federation.layout import Layout

app = typer.Typer(
    help="Cells that train together, each a set of processes of its own, on one machine.\n\n"
    "Example: `hearth federation up --cells 3 --folder federation`",
    no_args_is_help=True,
)

FolderOption: TypeAlias = Annotated[
    Path, typer.Option("--folder", metavar="FOLDER", help="Where all of the federation is.")
]


@app.command("up")
def up(
    folder: FolderOption,
    cells: Annotated[int, typer.Option(min=1, max=64, help="How many cells.")] = 3,
    interactions: Annotated[
        Path | None,
        typer.Option(
            help="For a trial: interactions.csv[.gz], or a folder with one; its people are spread over cells."
        ),
    ] = None,
    min_value: Annotated[float | None, typer.Option(help="Leave out interactions with a lower value.")] = None,
    least_people: Annotated[
        int, typer.Option("--least-people", min=2, help="A cell gives no sum over fewer people.")
    ] = 20,
    plain_sums: Annotated[
        bool,
        typer.Option("--plain-sums", help="Add sums in the clear: the centre sees each cell's. Fewer than 3 need it."),
    ] = False,
    announced_draws: Annotated[
        bool,
        typer.Option(
            "--announced-draws",
            help="Draw who is in a round by the announced seed alone, as a simulation does: for comparisons.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a federation and keep it running, until Ctrl-C or `hearth federation down`.

    Sums go out under masks, so that the centre comes by the total over the cells alone (docs/secure-aggregation.md).

    Certificates, keys and secrets are made where there are none. Each process has a log in FOLDER/logs and is started
    again when it ends, ten times in a row.

    Example: `hearth federation up --cells 3 --folder federation --interactions ml-100k`
    """
    import logging
    import signal
    import threading

    from hearth.federation.layout import Plan
    from hearth.federation.up import alone, cell_names, run_up
    from hearth.trust import own_key, public_file

    layout = _layout(folder)
    wanted = Plan(
        cells=cell_names(cells), least_people=least_people, plain_sums=plain_sums, announced_draws=announced_draws
    )
    wanted.require_possible()
    layout.require_short(wanted)
    events = None
    if interactions is not None:  # before anything is made
        from hearth.sources import file_named
        from training.interactions import read_interactions

        events = read_interactions(file_named(interactions, "interactions"), min_value=min_value)
    plan = layout.planned(wanted)
    own_key(layout.signing_key)
    if events is not None:
        from hearth.federation.filling import fill

        with alone(layout):
            people = fill([layout.cell(name) for name in plan.cells], events)
        for name, count in people.items():
            ERR.print(f"{name}: {count:,} people")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.WARNING, format="%(message)s")

    def told(status: dict[str, Any]) -> None:
        if as_json:
            print_json(status)
        else:
            OUT.print(f"{len(plan.cells)} cells are up: {', '.join(plan.cells)}", soft_wrap=True)
            OUT.print(f"To train: hearth federation run --folder {folder}. Ctrl-C stops all.", soft_wrap=True)

    ERR.print(f"starting {len(plan.cells)} cells; logs: {layout.logs}", soft_wrap=True)
    run_up(layout, plan, public_file(layout.signing_key), stop, told)


@app.command("run")
def run(
    folder: FolderOption,
    items: Annotated[
        Path | None,
        typer.Option(
            "--items",
            help="Catalogue: items.csv[.gz], or a folder with one. Default: the items that are in production.",
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="The most rounds.")] = None,
    cohort: Annotated[int | None, typer.Option(min=1, help="People a round, of all cells.")] = None,
    dim: Annotated[int | None, typer.Option(min=1, max=4096, help="Numbers in an item vector.")] = None,
    config: ConfigOption = None,
    vertical: Annotated[str, typer.Option(help="Of items that are not in production yet.")] = "e-commerce",
    quorum: Annotated[
        int | None, typer.Option(min=1, help="The fewest cells that make a round. Default: more than half.")
    ] = None,
    deadline: Annotated[float, typer.Option(min=1.0, help="Seconds for a cell's answer.")] = 600.0,
    held_out: Annotated[
        float | None,
        typer.Option(
            "--held-out",
            min=0.0,
            max=0.9,
            help="Share of each person's newest items that judges. Default: 0.1; 0 with --epsilon.",
        ),
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="Train with user-level differential privacy, at this ε. Needs --delta. Default: without."),
    ] = None,
    delta: Annotated[float | None, typer.Option(help="δ, well below one over the number of people, as 1e-5.")] = None,
    privacy_budget: Annotated[
        float | None,
        typer.Option(help="The ε that all trainings into this registry may not pass. Default: --epsilon."),
    ] = None,
    validate: Annotated[
        bool, typer.Option("--validate", help="Judge after each round, and publish the best: twice the time.")
    ] = False,
    promote: Annotated[
        bool, typer.Option("--promote", help="Put the checkpoint into production; the cells adopt it.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard the saved state of an unfinished run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train over the cells of a federation that is up, and publish the checkpoint to FOLDER/registry.

    The state is saved after each round: run the same command again after an interruption, and it goes on. The status is
    75 when another training of the federation is under way.

    With --epsilon and --delta each person's whole history is protected: each cell adds noise to its sums and keeps a
    ledger of them, as the registry does, and no figures on people's data are made.

    Example: `hearth federation run --folder federation --items ml-100k --rounds 20 --promote`
    """
    from hearth.federation.alone import AlreadyTraining
    from hearth.federation.control import opened_control
    from hearth.federation.running import run_to_end
    from hearth.federation.up import read_status
    from hearth.sources import file_named
    from hearth.training_config import training_settings
    from training.federation.centre import Request
    from training.run_log import RoundRecord

    layout = _layout(folder)
    plan, status = layout.plan(), read_status(layout)
    settings = training_settings(
        config,
        {
            "rounds": rounds,
            "cohort": cohort,
            "dim": dim,
            "privacy.epsilon": epsilon,
            "privacy.delta": delta,
            "privacy.budget": privacy_budget,
        },
    )
    judges = 0.0 if settings.privacy else 0.1
    if settings.privacy and (held_out or validate):
        raise BadInput("a private training judges nobody: --held-out and --validate make figures without noise on them")
    request = Request(
        registry=str(layout.registry),
        signing_key=layout.signing_key,
        settings=settings,
        catalogue=None if items is None else file_named(items, "items").resolve(),
        vertical=vertical,
        held_out=judges if held_out is None else held_out,
        validates=validate,
        cells=len(plan.cells),
        quorum=quorum or len(plan.cells) // 2 + 1,
        deadline_seconds=deadline,
        promote=promote,
        fresh=fresh,
    )

    def show(record: RoundRecord) -> None:
        judged = "" if record.ndcg is None else f", NDCG@20 {record.ndcg:.4f}"
        ERR.print(
            f"round {record.round_number}: {record.cohort} people, loss {record.loss:.4f}{judged}, "
            f"{record.seconds:.1f} s",
            soft_wrap=True,
        )

    def restarted(why: str) -> None:
        ERR.print(f"the run ended ({why}); it goes on", soft_wrap=True)

    try:
        with opened_control(str(status["address"]), layout.authority) as control:
            outcome = run_to_end(control, layout, request, show, restarted)
    except AlreadyTraining as error:
        ERR.print(f"error: {error}", soft_wrap=True)
        raise typer.Exit(ANOTHER_IS_UNDER_WAY) from error
    if as_json:
        print_json(outcome.model_dump(mode="json", exclude={"error", "log"}))
        return
    resumed = f", going on from round {outcome.resumed_at}" if outcome.resumed_at else ""
    OUT.print(f"Training over {len(outcome.cells)} cells ended after {outcome.rounds} rounds{resumed}.", soft_wrap=True)
    seen = (
        "under masks: the centre saw no cell's" if outcome.secure_sums else "in the clear: the centre saw each cell's"
    )
    OUT.print(f"Sums were added {seen}.", soft_wrap=True)
    OUT.print(f"Published checkpoint {outcome.checkpoint_id}.", soft_wrap=True)
    if outcome.privacy:
        spent = outcome.privacy
        OUT.print(
            f"Private: ε = {spent.epsilon:g} at δ = {spent.delta:g} for all that was released about these people so "
            f"far, ε = {spent.run_epsilon:g} by this training.",
            soft_wrap=True,
        )
    OUT.print(f"Sent to cells: {outcome.downlink_bytes:,} bytes; received: {outcome.uplink_bytes:,}.", soft_wrap=True)
    if outcome.adopted:
        OUT.print(f"People folded in anew: {outcome.adopted['folded']:,}.", soft_wrap=True)


@app.command("status")
def status(folder: FolderOption, as_json: JsonOption = False) -> None:
    """Say what of a federation runs, and which cells are online.

    Example: `hearth federation status --folder federation`
    """
    from hearth.federation.control import opened_control
    from hearth.federation.up import is_held, read_status
    from training.federation.errors import FederationError

    layout = _layout(folder)
    layout.plan()
    found = read_status(layout)
    found["supervised"] = is_held(layout)
    try:
        with opened_control(str(found["address"]), layout.authority) as control:
            found["online"] = control.online()
    except FederationError:
        found["online"] = []
    if as_json:
        print_json(found)
        return
    rows = [
        (name, child["state"], str(child["restarts"]), str(child["pid"])) for name, child in found["processes"].items()
    ]
    OUT.print(table(f"Federation of {layout.folder}", ("process", "state", "restarts", "pid"), rows))
    OUT.print(f"Online: {', '.join(found['online']) or 'no cell'}.")
    if not found["supervised"]:
        OUT.print("Nobody supervises it: `hearth federation down` ends what is left.")


@app.command("down")
def down(folder: FolderOption, as_json: JsonOption = False) -> None:
    """End a federation and all of its processes. Its files stay.

    Example: `hearth federation down --folder federation`
    """
    from hearth.federation.up import take_down

    layout = _layout(folder)
    ended = take_down(layout)
    if as_json:
        print_json({"folder": str(layout.folder), "ended": ended})
    else:
        OUT.print(f"{ended} processes ended." if ended else "Nothing ran.")


@app.command("admit")
def admit(
    superlink: Annotated[str, typer.Option(metavar="HOST:PORT", help="The SuperLink.")],
    authority: Annotated[Path, typer.Option(help="PEM file of who has signed the SuperLink's certificate.")],
    nodes: Annotated[Path, typer.Option(metavar="FOLDER", help="Public keys of cells: NAME.pub, in OpenSSH's form.")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the folder.")] = 10.0,
    alive: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Touched whenever the SuperLink has answered.")
    ] = None,
) -> None:
    """Let the cells in whose public keys lie in a folder, and no others, until SIGTERM or Ctrl-C.

    A key that is put there is let in, one that is taken away is out, and of no use from then on.

    Example: `hearth federation admit --superlink 127.0.0.1:9092 --authority authority.pem --nodes nodes`
    """
    import logging
    import signal
    import threading

    from hearth.federation.admission import keep_admitted, keys_in

    keys_in(nodes)  # a folder that is not there is told at once
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    keep_admitted(superlink, authority, nodes, stop, alive, every)


def _layout(folder: Path) -> "Layout":
    from hearth.federation.layout import Layout

    return Layout(folder.resolve())
