"""The story that the demo tells, step by step.

The rounds are simulated: every person's history is a client of its own, and only sums leave it. The server that
answers afterwards is a process of its own, with a SQLite file as the store of one edge cell.
"""

import contextlib
import time
from pathlib import Path
from typing import NoReturn

from rich.table import Table

from benchmarks.peers import judge, quick_peers
from benchmarks.quality import canary_of
from feature_store.catalogue import read_catalogue
from feature_store.encryption import own_keys
from feature_store.registry import Registry
from feature_store.row_ranges import one_catalogue
from feature_store.signing import TrustedKeys
from hearth.datasets.ml_100k import fetch_ml_100k
from hearth.demo.edge_cell import Answer, Server, ask, serve_on, serving, some_people, store_history
from hearth.report.writing import report_run
from hearth.round_display import round_display
from hearth.sources import item_features
from hearth.terminal import OUT, quality_table
from hearth.training_session import train_to_checkpoint
from hearth.trust import own_key, public_file
from training.interactions import read_interactions
from training.run import TrainingRun, prepare
from training.server_state import ServerState
from training.settings import TrainingSettings
from training.split import split_by_time


def tell(folder: Path, cache: Path, source: Path | None, port: int, *, leave: bool) -> None:
    """Fetch, train, publish, compare, serve and ask; then serve on until Ctrl-C, unless `leave` is set.

    Args:
        folder: an empty one, for registry, store, key and log.
        cache: where data sets are kept.
        source: a place to take MovieLens-100K from, and no other.
        port: to serve on; 0 takes a free one.
        leave: end after the questions.
    """
    started = time.perf_counter()
    OUT.rule("1  Data")
    data = fetch_ml_100k(cache, source, report=lambda line: OUT.print(line, soft_wrap=True))
    films = read_catalogue(data / "items.csv.gz")
    interactions = read_interactions(data / "interactions.csv.gz", vocabulary=films.vocabulary)
    split = split_by_time(interactions)
    OUT.print(
        f"{len(interactions):,} ratings of {len(films):,} films by {len(split.user_ids)} people. Of each person's "
        f"ratings the last 20 % test and the 10 % before them validate; the rest trains, and stays where it is."
    )

    OUT.rule("2  Federated training")
    settings = TrainingSettings(cohort=190)
    run = prepare(split, settings, item_features(split.vocabulary, films))
    key = own_key(folder / "signing-key.pem")
    registry = Registry(folder / "registry", TrustedKeys([key.public]))
    with round_display(settings.rounds, OUT) as show:
        outcome = train_to_checkpoint(
            run,
            registry,
            key,
            catalogues=one_catalogue("e-commerce", len(split.vocabulary)),
            show=show,
            report=lambda outcome: report_run(run, outcome, registry),
        )
    registry.promote(outcome.manifest.checkpoint_id)
    OUT.print(outcome.text(), f"Signed with key {key.public.key_id}, promoted to production.", soft_wrap=True)
    if outcome.reported:
        OUT.print(outcome.reported.text(), soft_wrap=True)

    OUT.rule("3  Quality on the test films")
    _compare(run, outcome.state)

    OUT.rule("4  Serving")
    store, store_keys = folder / "people.sqlite", folder / "store.keys"
    events = store_history(interactions, split, store, own_keys(store_keys))
    OUT.print(f"{events:,} events are in the edge cell's store {store}, sealed with the key in {store_keys}.")
    log = folder / "serving.log"
    public_key = public_file(folder / "signing-key.pem")
    with serving(registry.folder, store, store_keys, public_key, port, log) as server:
        people = some_people(split, 3)
        for answer in ask(server.address, people, interactions, split, films):
            OUT.print(_as_table(answer))
        OUT.print(f"All this took {time.perf_counter() - started:.0f} s.")
        if leave:
            return
        with contextlib.suppress(KeyboardInterrupt):  # which is how it ends
            _serve_on(server, people[0], log)


def _serve_on(server: Server, person: str, log: Path) -> NoReturn:
    """Say what can be tried, and serve on."""
    OUT.rule("Try it")
    body = f'{{"user_id": "{person}", "k": 5}}'
    header = "content-type: application/json"
    request = f"curl -s {server.address}/v1/placements/home:recommend -H '{header}' -d '{body}'"
    OUT.print(request, soft_wrap=True)
    where = f"The API is described at {server.address}/docs; the server's log is {log}."
    OUT.print(f"{where} Ctrl-C ends.", soft_wrap=True)
    serve_on(server)


def _compare(run: TrainingRun, state: ServerState) -> None:
    """Test quality of the federated model beside its centralised peers, and the canary."""
    qualities = {"Hearth, federated": run.test(state, run.item_item(state)).figures()}
    for peer in quick_peers(run.settings.dim):
        with OUT.status(f"fitting {peer.name}, tuned on the validation films"):
            qualities[f"{peer.name}, centralised"] = judge(peer, run.split, [run.settings.seed]).qualities[0].figures()
    OUT.print(quality_table("All films ranked for everybody; test films counted", qualities))
    canary = canary_of(run.split, run.settings, run.item_vectors(state))
    verdict = (
        "training has not peeked at the test films" if canary.is_honest else "TRAINING HAS PEEKED AT THE TEST FILMS"
    )
    OUT.print(f"Canary {canary.hr_10:.3f}, chance {canary.chance:.3f}: {verdict}.")


def _as_table(answer: Answer) -> Table:
    lists = Table(
        title=f"Person {answer.user_id} (privacy tier: {answer.tier})", title_justify="left", title_style="bold"
    )
    lists.add_column("rated highest")
    lists.add_column("recommended (✓ the person did go on to rate it)")
    for place, (title, hit) in enumerate(answer.recommended):
        liked = answer.liked[place] if place < len(answer.liked) else ""
        lists.add_row(liked, f"{'✓' if hit else ' '} {title}")
    return lists
