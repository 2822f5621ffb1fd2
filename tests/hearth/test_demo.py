"""The demo on made-up films, in real processes: what it says is true, and it leaves nothing running."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from feature_store.catalogue import read_catalogue
from feature_store.checkpoint import Checkpoint
from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys
from feature_store.vocabulary import ItemVocabulary
from hearth.demo.edge_cell import Server, ServerFailed, serve_on, some_people
from tests.hearth.command import PATIENCE, ROOT, Command, Ended
from tests.hearth.conftest import Trained
from tests.hearth.world import world_of_films
from tests.serving.running import until
from training.checkpoint_quality import checkpoint_quality
from training.histories import Histories
from training.interactions import Interactions, read_interactions
from training.split import Split, split_by_time

ROW = re.compile(r"│ (?P<liked>.*?) +│ (?P<mark>[✓ ]) (?P<title>.*?) +│")


@dataclass(frozen=True, slots=True)
class Told:
    """A demo that has ended, the data it was given, and what it has left in its folder."""

    ended: Ended
    interactions: Interactions
    split: Split
    titles: dict[str, str]
    folder: Path
    checkpoint: Checkpoint

    def lists(self) -> dict[str, list[re.Match[str]]]:
        """The lines of the list that was shown for each person."""
        parts = re.split(r"^Person (\d+) \(privacy tier: edge-cell\) *$", self.ended.stdout, flags=re.MULTILINE)
        return {person: list(ROW.finditer(text)) for person, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """With proxies that lead nowhere: the demo must ask its own server directly."""
    return Command(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def films(command: Command) -> Path:
    return world_of_films(command.key.parent / "films", people=30)


@pytest.fixture(scope="module")
def served(command: Command, films: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A demo that serves on, started before the one that is told to end, as both spend seconds on their imports."""
    folder = command.key.parent / "serving"
    with (
        (command.key.parent / "serving.err").open("wb") as stderr,
        command.started("demo", "--from", films, "--folder", folder, stderr=stderr) as process,
    ):
        yield process


@pytest.fixture(scope="module")
def told(command: Command, films: Path, served: "subprocess.Popen[bytes]") -> Told:
    folder = command.key.parent / "told"
    ended = command.run("demo", "--exit", "--from", films, "--folder", folder)
    catalogue = read_catalogue(films / "items.csv.gz")
    cached = command.key.parent / "cache" / "ml-100k" / "interactions.csv.gz"  # the films' own, in order of time
    interactions = read_interactions(cached, vocabulary=catalogue.vocabulary)
    registry = Registry(folder / "registry", TrustedKeys([PublicKey.load(folder / "signing-key.pub")]))
    return Told(
        ended,
        interactions,
        split_by_time(interactions),
        {item.item_id: item.title for item in catalogue},
        folder,
        registry.load(registry.production()),
    )


def test_the_demo_ends_by_itself_when_told_to(told: Told, command: Command) -> None:
    assert (told.ended.status, told.ended.stderr) == (0, "")
    assert f"Published checkpoint {told.checkpoint.manifest.checkpoint_id}, of round" in told.ended.stdout
    assert "curl" not in told.ended.stdout
    assert not command.key.exists()  # the demo signs with a key of its own
    log = (told.folder / "serving.log").read_text()
    assert '"message": "stopped"' in log
    assert "Traceback" not in log
    address = re.search(r"http://127\.0\.0\.1:(\d+)", log)
    assert address
    assert refuses(int(address[1]))


def test_the_recommendations_shown_are_those_of_the_checkpoint(told: Told) -> None:
    lists = told.lists()
    assert list(lists) == some_people(told.split, 3)
    assert len(lists) == 3
    for person, lines in lists.items():
        history = told.split.train[told.split.user_ids.index(person)]
        scores = told.checkpoint.item_vectors @ told.checkpoint.fold_in(history).vector
        scores[history] = -np.inf
        best = [told.checkpoint.vocabulary.item_ids[row] for row in np.argsort(-scores)[:10]]
        assert [line["title"] for line in lines] == [told.titles[item_id] for item_id in best]


def test_a_recommendation_is_ticked_where_the_person_did_go_on_to_rate_it_and_nowhere_else(told: Told) -> None:
    ticks = []
    for person, lines in told.lists().items():
        later = {told.titles[item_id] for item_id in _held_out(told.split, person)}
        for line in lines:
            assert (line["mark"] == "✓") == (line["title"] in later)
            ticks.append(line["mark"])
    assert 0 < ticks.count("✓") < len(ticks)


def test_what_is_shown_as_rated_highest_is_what_training_saw_with_the_most_stars(told: Told) -> None:
    interactions, split = told.interactions, told.split
    for person, lines in told.lists().items():
        client = split.user_ids.index(person)
        trained = {split.vocabulary.item_ids[row] for row in split.train[client]}
        stars = {
            told.titles[interactions.vocabulary.item_ids[item]]: value
            for user, item, value in zip(interactions.users, interactions.items, interactions.values, strict=True)
            if user == client and interactions.vocabulary.item_ids[item] in trained
        }
        liked = [line["liked"] for line in lines if line["liked"]]
        assert len(set(liked)) == 5
        assert sorted((stars[title] for title in liked), reverse=True) == sorted(stars.values(), reverse=True)[:5]


def test_the_figures_shown_are_those_of_the_checkpoint_and_the_canary_is_honest(told: Told) -> None:
    figures = checkpoint_quality(told.checkpoint, told.split).figures()
    shown = re.search(r"│ Hearth, federated +│ +([\d.]+) │ +([\d.]+) │ +([\d.]+) │ +([\d.]+) │", told.ended.stdout)
    assert shown
    names = ("recall@20", "ndcg@20", "hr@10", "coverage@20")
    assert [float(text) for text in shown.groups()] == pytest.approx([figures[name] for name in names], abs=6e-5)
    assert re.search(r"│ popularity, centralised +│", told.ended.stdout)
    report = re.search(r"^Report: (.+report\.html)$", told.ended.stdout, re.MULTILINE)
    assert report
    assert told.checkpoint.manifest.checkpoint_id in Path(report[1]).read_text()
    assert re.search(r"│ als, centralised +│", told.ended.stdout)
    assert "training has not peeked at the test films" in told.ended.stdout
    assert f"{len(told.split.train.rows):,} events are in the edge cell's store" in told.ended.stdout
    assert f"{len(told.interactions):,} ratings of 200 films by 30 people" in told.ended.stdout


def test_without_exit_the_line_to_try_works_until_ctrl_c_and_then_nothing_runs_any_more(
    served: "subprocess.Popen[bytes]", told: Told
) -> None:
    assert served.stdout is not None
    lines = iter(served.stdout.readline, b"")
    line = next(text for text in map(bytes.decode, lines) if text.startswith("curl "))
    words = shlex.split(line)
    address = next(word for word in words if word.startswith("http"))
    header, _, value = words[words.index("-H") + 1].partition(": ")
    reply = httpx.post(
        address, headers={header: value}, content=words[words.index("-d") + 1], timeout=PATIENCE, trust_env=False
    )
    assert reply.status_code == 200
    first = next(iter(told.lists().values()))
    assert [told.titles[item["item_id"]] for item in reply.json()["items"]] == [m["title"] for m in first[:5]]
    assert b"Ctrl-C ends" in served.stdout.readline()
    os.killpg(served.pid, signal.SIGINT)  # as a terminal does it: everybody in the foreground is told
    assert served.wait(PATIENCE) == 0
    until(lambda: not group_exists(served.pid), lambda: "a process of the demo still runs")
    assert refuses(httpx.URL(address).port or 80)
    assert (told.folder.parent / "serving.err").read_bytes() == b""


def test_a_demo_that_is_told_to_end_by_sigterm_takes_its_server_with_it(trained: Trained, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from hearth.demo.edge_cell import serving\n"
        "registry, key, folder = map(Path, sys.argv[1:])\n"
        "store, store_keys = folder / 'store.sqlite', folder / 'store.keys'\n"
        "with serving(registry, store, store_keys, key, 0, folder / 'log') as server:\n"
        "    print(server.address, flush=True); time.sleep(100)\n"
    )
    key = trained.command.key.with_suffix(".pub")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(trained.registry), str(key), str(tmp_path)],
        cwd=ROOT,
        env=trained.command.environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().decode().strip()
            assert httpx.get(f"{address}/livez", trust_env=False, timeout=PATIENCE).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 128 + signal.SIGTERM
            assert not group_exists(process.pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert refuses(httpx.URL(address).port or 80)


def test_a_demo_whose_server_ends_by_itself_says_so() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(ServerFailed, match=r"the server at http://cell has ended by itself, with status 3"),
    ):
        serve_on(Server("http://cell", process))


def test_people_are_shown_also_where_nobody_has_done_much() -> None:
    split = Split(
        vocabulary=ItemVocabulary(["x", "y"]),
        user_ids=("a", "b", "c"),
        train=Histories.of([[0], [0], [1]]),
        valid=Histories.of([[], [], []]),
        test=Histories.of([[], [1], [0]]),
    )
    assert some_people(split, 3) == ["b", "c"]


def refuses(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _held_out(split: Split, person: str) -> set[str]:
    client = split.user_ids.index(person)
    return {split.vocabulary.item_ids[row] for part in (split.valid, split.test) for row in part[client]}
