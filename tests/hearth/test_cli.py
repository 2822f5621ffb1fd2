"""The whole path by the command line: train, look, promote, roll back, evaluate, serve; each in a real process."""

import importlib.metadata
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from benchmarks.peers import Peer, judge, of_matrix, popularity
from feature_store.blend import blended_scores
from feature_store.signing import SigningKey
from hearth.sources import read_source
from tests.hearth.command import PATIENCE, Command, Ended
from tests.hearth.conftest import Trained
from tests.hearth.world import world_of_films
from tests.serving.published import draft
from tests.serving.running import until
from training.checkpoint_quality import checkpoint_quality


def test_training_prints_one_json_object_while_a_terminal_shows_its_rounds(trained: Trained) -> None:
    outcome = trained.ended.json()
    registry = trained.command.registry(trained.registry)
    assert registry.checkpoint_ids() == [outcome["checkpoint_id"]]
    assert registry.production() == outcome["checkpoint_id"]
    assert (outcome["rounds"], outcome["resumed_at"], outcome["converged"], outcome["promoted"]) == (25, 0, False, True)
    manifest = registry.load(outcome["checkpoint_id"]).manifest
    assert outcome["valid"] == manifest.metrics
    assert (manifest.items, manifest.dim, manifest.round_number) == (40, 8, outcome["published_round"])
    assert "valid ndcg@20" in trained.ended.stderr
    assert re.search(r"│ 25 +│ +20 │", trained.ended.stderr)
    assert list((trained.registry / "training").iterdir()) == [trained.registry / "training" / "lock"]
    assert trained.command.key.stat().st_mode & 0o777 == 0o600


def test_all_checkpoints_are_listed_the_newest_first_with_their_stage(
    trained: Trained, hearth: Callable[..., Ended], registry_copy: Path
) -> None:
    first = trained.checkpoint_id
    second = _publish(trained, registry_copy, 7)
    third = _publish(trained, registry_copy, 3)
    trained.command.registry(registry_copy).promote(second)
    listed = hearth("models", "list", "--registry", registry_copy, "--json").json()["models"]
    assert [(model["checkpoint_id"], model["stage"]) for model in listed] == [
        (third, "candidate"),
        (second, "production"),
        (first, "before"),
    ]
    assert listed[2]["metrics"] == trained.ended.json()["valid"]
    assert [(model["items"], model["dim"], model["round_number"]) for model in listed] == [
        (60, 8, 3),
        (60, 8, 7),
        (40, 8, trained.ended.json()["published_round"]),
    ]
    narrow = Command(trained.command.key.parent)
    narrow.environment["COLUMNS"] = "60"
    shown = narrow.run("models", "list", "--registry", registry_copy)
    assert all(checkpoint_id in shown.stdout for checkpoint_id in (first, second, third))


def test_a_broken_checkpoint_is_listed_with_its_error_and_hides_no_other(
    trained: Trained, hearth: Callable[..., Ended], registry_copy: Path
) -> None:
    broken = _publish(trained, registry_copy, 7)
    (registry_copy / "checkpoints" / broken / "manifest.sig").unlink()
    listed = hearth("models", "list", "--registry", registry_copy, "--json").json()["models"]
    errors = {model["checkpoint_id"]: model.get("error") for model in listed}
    assert errors.keys() == {broken, trained.checkpoint_id}
    assert errors[trained.checkpoint_id] is None
    assert broken in errors[broken]
    assert hearth("models", "list", "--registry", registry_copy).status == 0


def test_a_manifest_is_shown_after_every_byte_was_verified(
    trained: Trained, hearth: Callable[..., Ended], registry_copy: Path
) -> None:
    arguments = ("models", "show", trained.checkpoint_id, "--registry", registry_copy)
    manifest = trained.command.registry(registry_copy).manifest(trained.checkpoint_id)
    assert hearth(*arguments, "--json").json() == manifest.model_dump(mode="json")
    shown = hearth(*arguments).stdout
    assert all(digest.sha256 in shown for digest in manifest.files.values())
    vectors = registry_copy / "checkpoints" / trained.checkpoint_id / "item_vectors.safetensors"
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"x")
    assert "item_vectors.safetensors" in hearth(*arguments, "--json").error()


def test_a_promotion_is_rolled_back(trained: Trained, hearth: Callable[..., Ended], registry_copy: Path) -> None:
    first, second = trained.checkpoint_id, _publish(trained, registry_copy, 7)
    there = ("--registry", registry_copy, "--json")
    promoted = hearth("models", "promote", second, *there).json()
    assert promoted == {"production": second, "previous": [first], "shadow": None}
    assert trained.command.registry(registry_copy).production() == second
    assert hearth("models", "roll-back", *there).json() == {
        "production": first,
        "previous": [],
        "shadow": None,
    }
    assert trained.command.registry(registry_copy).production() == first
    assert f"before {first}" in hearth("models", "roll-back", *there).error()


def test_a_named_signing_key_signs_and_its_public_half_is_what_others_trust(trained: Trained, tmp_path: Path) -> None:
    shown = trained.command.run("keys", "show", "--signing-key", tmp_path / "own.pem", "--json").json()
    key = SigningKey.load(tmp_path / "own.pem")
    assert shown == {"key_id": key.public.key_id, "public_key": str(tmp_path / "own.pub")}
    registry = shutil.copytree(trained.registry, tmp_path / "registry")
    theirs = trained.command.registry(registry).publish(draft(1), key).checkpoint_id
    arguments = ("models", "promote", theirs, "--registry", registry, "--json")
    error = trained.command.run(*arguments).error()
    assert key.public.key_id in error
    assert SigningKey.load(trained.command.key).public.key_id in error
    stages = trained.command.run(*arguments, "--trust", tmp_path / "own.pub").json()
    assert stages["production"] == theirs


def test_evaluation_prints_what_the_checkpoint_is_worth_and_that_is_more_than_popularity(
    trained: Trained, hearth: Callable[..., Ended]
) -> None:
    printed = hearth("evaluate", "--split", trained.world, "--registry", trained.registry, "--json").json()
    split = read_source(trained.world).split
    checkpoint = trained.command.registry(trained.registry).load(trained.checkpoint_id)
    figures = checkpoint_quality(checkpoint, split).figures()
    assert printed.pop("checkpoint_id") == trained.checkpoint_id
    assert printed.pop("trained_on_this_split") is True
    assert printed.keys() == {"recall@20", "ndcg@20", "hr@10", "coverage@20", "users"}
    assert printed == pytest.approx(figures, abs=1e-6)
    assert printed["users"] == 60
    popular = judge(Peer("popularity", [{}], of_matrix(popularity)), split, [1]).qualities[0].figures()
    assert printed["ndcg@20"] > 1.4 * popular["ndcg@20"]
    assert printed["recall@20"] > 1.1 * popular["recall@20"]  # 20 of 40 items leave little room


def test_evaluation_says_where_the_split_is_not_the_one_trained_on(
    trained: Trained, hearth: Callable[..., Ended]
) -> None:
    arguments = ("evaluate", "--split", trained.world, "--registry", trained.registry)
    ended = hearth(*arguments, "--test-share", "0.4", "--json")
    assert ended.json()["trained_on_this_split"] is False
    assert "not the split that the checkpoint was trained on" in ended.stderr


def test_a_server_says_its_address_and_answers_as_the_checkpoint_does(trained: Trained, tmp_path: Path) -> None:
    command = Command(trained.command.key.parent)
    command.environment["HEARTH_REGISTRY"] = str(trained.registry)
    checkpoint = command.registry(trained.registry).load(trained.checkpoint_id)
    seen = ["i2", "i4", "i6"]
    with command.started("serve", "--port", "0", "--index", "int8", "--index-folder", tmp_path) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        address = server.stdout.readline().decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", address)
        with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
            until(lambda: client.get("/readyz").status_code == 200, lambda: client.get("/readyz").text)
            body = {"session_events": [{"item_id": item_id} for item_id in seen], "k": 10}
            until(lambda: len(list(tmp_path.glob("*.int8.*"))) == 1, lambda: str(list(tmp_path.iterdir())))
            reply = client.post("/v1/placements/home:recommend", json=body).json()
        server.send_signal(signal.SIGINT)
        stdout, stderr = server.communicate(timeout=PATIENCE)
    assert server.returncode == 0
    assert stdout == b""
    assert b"Traceback" not in stderr
    rows = checkpoint.vocabulary.known_rows(seen)
    scores = checkpoint.fold_in_many([rows]) @ checkpoint.item_vectors.T
    blend = checkpoint.manifest.blend
    scores = blended_scores(scores, checkpoint.item_counts, np.array([len(rows)]), blend)[0]
    scores[rows] = -np.inf
    best = [checkpoint.vocabulary.item_ids[row] for row in np.argsort(-scores)[:10]]
    assert [item["item_id"] for item in reply["items"]] == best
    assert reply["model_id"] == trained.checkpoint_id
    assert sum(int(item_id[1:]) % 2 == 0 for item_id in best) >= 8  # the session was of even items


def test_a_fetched_data_set_is_named_in_json_also_where_its_folder_looks_like_markup(
    trained: Trained, tmp_path: Path
) -> None:
    given, cache = world_of_films(tmp_path / "[bold]given"), tmp_path / "[red]cache[/]"
    arguments = ("data", "fetch", "ml-100k", "--from", given, "--cache", cache)
    ended = trained.command.run(*arguments, "--json")
    files = {name: (cache / "ml-100k" / name).stat().st_size for name in _FILES}
    assert ended.json() == {"dataset": "ml-100k", "folder": str(cache / "ml-100k"), "files": files}
    assert str(given) in ended.stderr
    assert f"MovieLens-100K is in {cache / 'ml-100k'}:" in trained.command.run(*arguments).stdout


_FILES = ("interactions.csv.gz", "items.csv.gz", "users.csv.gz")


def _publish(trained: Trained, registry: Path, seed: int) -> str:
    """Publish a checkpoint of 60 items with the key of the command."""
    key = SigningKey.load(trained.command.key)
    return trained.command.registry(registry).publish(draft(seed), key).checkpoint_id


def test_the_version_is_a_line(trained: Trained) -> None:
    ended = trained.command.run("--version")
    assert (ended.status, ended.stdout) == (0, f"{importlib.metadata.version('hearth-recommender')}\n")


def test_a_damaged_checkpoint_is_told_below_the_list_of_the_others(
    trained: Trained, hearth: Callable[..., Ended], registry_copy: Path
) -> None:
    second = _publish(trained, registry_copy, 7)
    (registry_copy / "checkpoints" / second / "manifest.json").write_text("{}")
    shown = hearth("models", "list", "--registry", registry_copy).stdout.splitlines()
    assert any(line.startswith(f"{second} cannot be used: ") for line in shown)
    assert any(trained.checkpoint_id in line and "production" in line for line in shown)


def test_a_folder_with_two_files_of_interactions_asks_which_is_meant(trained: Trained, tmp_path: Path) -> None:
    for name in ("interactions.csv", "interactions.csv.gz"):
        (tmp_path / name).write_text("user_id,item_id,event\n")
    ended = trained.command.run("train", "--interactions", tmp_path, "--registry", tmp_path / "new")
    assert "has both interactions.csv.gz and interactions.csv" in ended.error()
