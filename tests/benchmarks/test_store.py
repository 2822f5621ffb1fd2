"""The benchmark of the stores, on a few people."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.store import Load, measure_store
from feature_store.errors import BadInput
from hearth.commands.bench_store import show_store
from tests.hearth.command import Command
from tests.redis_server import free_port, running_redis

LOAD = Load(users=250, dim=8, events=3, requests=200, at_once=4, turns=2)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """On a server that was named; afterwards nothing of it is left there."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        figures = measure_store(LOAD, server.url, lambda _: None)
        with server.client() as client:
            assert client.dbsize() == 0
    return figures


def test_each_store_is_measured_beside_redis_py(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    for what in ("get", "put", "get_4_at_once", "put_4_at_once", "get_many_of_100"):
        kinds = measured["figures"][what]
        for name in ("raw", "redis", "sqlite"):
            assert 0 < kinds[name]["p50_microseconds"] <= kinds[name]["p99_microseconds"]
            assert kinds[name]["of_raw"] == pytest.approx(kinds[name]["per_second"] / kinds["raw"]["per_second"])
    get = measured["figures"]["get"]
    at_once = measured["figures"]["get_4_at_once"]
    assert measured["targets"]["met"] == (min(get["redis"]["of_raw"], at_once["redis"]["of_raw"]) >= 0.7)


def test_a_hundred_embeddings_are_one_round_trip(measured: dict[str, Any]) -> None:
    assert measured["figures"]["get_many_of_100"]["round_trips"] == 1


def test_what_a_person_takes_grows_with_the_events(measured: dict[str, Any]) -> None:
    for name in ("redis", "sqlite"):
        of = measured["sizes"][name]
        assert 8 * 4 < of["bytes_per_user_embedding"] < of["bytes_per_user_with_events"] < 5000
        assert of["extrapolated_bytes_with_events"] == pytest.approx(1e6 * of["bytes_per_user_with_events"], abs=1)


def test_the_figures_are_shown_as_a_table(measured: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    show_store(measured)
    shown = capsys.readouterr().out
    assert "250 people, dim 8" in shown
    assert "get many of 100" in shown
    assert "bytes a person" in shown


def test_a_redis_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        client.set("somebody's", "data")
        with pytest.raises(BadInput, match="holds 1 keys; an empty one is needed"):
            measure_store(LOAD, server.url, lambda _: None)
        assert client.get("somebody's") == b"data"
    with pytest.raises(BadInput, match="cannot be reached"):
        measure_store(LOAD, f"redis://127.0.0.1:{free_port()}", lambda _: None)


@pytest.mark.slow
def test_the_command_starts_a_server_for_the_time(tmp_path: Path) -> None:
    options = ("--users", "300", "--dim", "4", "--events", "2", "--requests", "200")
    figures = Command(tmp_path).run("bench", "store", *options, "--json").json()
    assert figures["load"]["users"] == 300
    assert figures["figures"]["get_many_of_100"]["round_trips"] == 1
