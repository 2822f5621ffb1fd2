"""`hearth models`: stages with a trail, collection, copies to an object store, and bundles for devices."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feature_store.item_bundle import make_bundle, read_bundle
from feature_store.registry import Registry, this_account
from feature_store.signing import SigningKey, TrustedKeys
from tests.feature_store.drafts import a_draft
from tests.hearth.command import Command, Ended
from tests.s3_server import running_s3

Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """With an object store in its environment."""
    command = Command(tmp_path_factory.mktemp("home"))
    with running_s3() as server:
        server.make_bucket("models")
        command.environment |= {**server.environment, "no_proxy": "127.0.0.1"}
        yield command


@pytest.fixture(scope="module")
def run(command: Command) -> Iterator[Run]:
    with command.server() as run:
        yield run


@pytest.fixture
def key(command: Command) -> SigningKey:
    return SigningKey.load_or_create(command.key)


@pytest.fixture
def registry(tmp_path: Path, key: SigningKey) -> Registry:
    return Registry(tmp_path / "registry", TrustedKeys([key.public]))


def published(registry: Registry, key: SigningKey, *seeds: int) -> list[str]:
    return [registry.publish(a_draft(seed), key).checkpoint_id for seed in seeds]


def test_stages_change_with_a_reason_and_the_trail_tells_who(run: Run, registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    there = ("--registry", registry.folder, "--json")
    assert run("models", "promote", a, *there).json() == {"production": a, "previous": [], "shadow": None}
    shadowed = run("models", "promote", b, "--to", "shadow", "--actor", "anna", *there).json()
    assert shadowed == {"production": a, "previous": [], "shadow": b}
    listed = run("models", "list", *there).json()["models"]
    assert {model["checkpoint_id"]: model["stage"] for model in listed} == {a: "production", b: "shadow"}
    run("models", "promote", b, "--reason", "better", *there).json()
    run("models", "roll-back", "--reason", "slower", "--actor", "ops", *there).json()
    changes = [entry["change"] for entry in run("models", "audit", *there).json()["changes"]]
    told = [(c["who"], c["what"], c["checkpoint_id"], c["to_stage"], c["replaced"], c["why"]) for c in changes]
    assert told == [
        ("ops", "roll back", a, "production", b, "slower"),
        (this_account(), "promote", b, "production", a, "better"),
        ("anna", "promote", b, "shadow", None, ""),
        (this_account(), "promote", a, "production", None, ""),
    ]
    shown = run("models", "audit", "--registry", registry.folder, "--most", "1").stdout
    assert re.search(rf"ops +│ +roll back to production +│ +{a} +│ +{b} +│ +slower", shown)
    assert "is in production and cannot become shadow" in run("models", "promote", a, "--to", "shadow", *there).error()


def test_an_actor_may_come_from_the_environment(command: Command, registry: Registry, key: SigningKey) -> None:
    [a] = published(registry, key, 1)
    command.environment["HEARTH_ACTOR"] = "nightly"
    try:
        command.run("models", "promote", a, "--registry", registry.folder, "--json").json()
    finally:
        del command.environment["HEARTH_ACTOR"]
    [entry] = registry.audit()
    assert entry.change is not None
    assert entry.change.who == "nightly"


def test_a_collection_says_what_would_go_and_removes_only_when_told(
    run: Run, registry: Registry, key: SigningKey
) -> None:
    a, b, c, d = published(registry, key, 1, 2, 3, 4)
    for checkpoint_id in (a, b, c, d):
        registry.promote(checkpoint_id)
    arguments = ("models", "collect", "--registry", registry.folder, "--keep", "1", "--needed", a)
    slip = run(*arguments, "--needed", f"{a}x", "--grace-hours", "0", "--remove")
    assert f"--needed {a}x: there is no such checkpoint in" in slip.error()
    assert registry.checkpoint_ids() == [a, b, c, d]
    assert run(*arguments, "--json").json()["removed"] == []
    arguments = (*arguments, "--grace-hours", "0")
    shown = run(*arguments).stdout.splitlines()
    assert shown == [f"{a} stays: needed", f"{c} stays: roll back", f"{d} stays: production", f"{b} would go"]
    assert registry.checkpoint_ids() == [a, b, c, d]
    removed = run(*arguments, "--remove", "--reason", "disk", "--json").json()
    assert removed == {
        "removed": [b],
        "kept": {a: "needed", c: "roll back", d: "production"},
        "dry_run": False,
    }
    assert registry.checkpoint_ids() == [a, c, d]
    assert "2 checkpoints" not in run("models", "audit", "--registry", registry.folder).stdout


def test_a_registry_in_an_object_store_is_used_as_a_folder_is(
    run: Run, registry: Registry, key: SigningKey, command: Command
) -> None:
    a, b = published(registry, key, 1, 2)
    place = "s3://models/films"
    for checkpoint_id in (a, b):
        copied = run("models", "copy", checkpoint_id, "--from", registry.folder, "--to", place, "--json").json()
        assert copied == {"checkpoint_id": checkpoint_id, "registry": place}
        run("models", "promote", checkpoint_id, "--registry", place, "--json").json()
    assert run("models", "roll-back", "--registry", place, "--json").json()["production"] == a
    assert run("models", "show", a, "--registry", place, "--json").json() == registry.manifest(a).model_dump(
        mode="json"
    )
    assert (Path(command.environment["HEARTH_CACHE"]) / "checkpoints" / a).is_dir()
    error = run("models", "list", "--registry", "s3://no-such-bucket/films", "--json").error()
    assert "the registry s3://no-such-bucket/films cannot be used now: NoSuchBucket" in error


def test_a_bundle_and_its_changes_are_written_verified_and_put_together(
    run: Run, registry: Registry, key: SigningKey, tmp_path: Path
) -> None:
    a, b = published(registry, key, 1, 2)
    (tmp_path / "items.csv").write_text("item_id,title\nitem 1,One\nitem 2,Two\n")
    (tmp_path / "gone.txt").write_text("item 5\n")
    there = ("--registry", registry.folder, "--items", tmp_path / "items.csv", "--json")
    old, new, delta, made = (tmp_path / name for name in ("old", "new", "delta", "made"))
    told = run("models", "bundle", a, "--out", old, *there).json()
    assert told["bytes"] == told["whole_bytes"] == old.stat().st_size
    assert (told["items"], told["titles"], told["item_item"], told["checkpoint_id"]) == (6, 2, 2, a)
    titles = {"item 1": "One", "item 2": "Two"}
    assert old.read_bytes() == make_bundle(registry.load(a), titles, key).to_bytes()
    told = run("models", "bundle", b, "--out", new, "--leave-out", tmp_path / "gone.txt", *there).json()
    assert told["items"] == 5
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbfitem 5\r\nitem 4\r\nnever an item\r\n")
    ended = run("models", "bundle", b, "--out", made, "--leave-out", tmp_path / "windows.txt", *there)
    assert ended.json()["items"] == 4
    assert "2 of the 3 ids of" in ended.stderr
    (tmp_path / "windows.txt").write_bytes(b"item 5\n\xff\n")
    broken = run("models", "bundle", b, "--out", made, "--leave-out", tmp_path / "windows.txt", *there)
    assert "windows.txt is not UTF-8: invalid start byte at byte 7" in broken.error()
    run("models", "bundle", b, "--out", delta, "--since", old, "--leave-out", tmp_path / "gone.txt", *there).json()
    verified = run("models", "verify-bundle", delta, "--since", old, "--out", made, "--json").json()
    assert verified["bundle_id"] == told["bundle_id"]
    assert made.read_bytes() == new.read_bytes()
    assert run("models", "verify-bundle", new, "--json").json() == told
    shown = run("models", "verify-bundle", new).stdout
    assert f"bundle {told['bundle_id'][:12]} of {b}, 5 items of 3 numbers, 2 with a title" in shown
    assert "asked for here begins with b'HEARTHIB'" in run("models", "verify-bundle", delta).error()
    new.write_bytes(new.read_bytes()[:-1])
    assert "ends within its section" in run("models", "verify-bundle", new).error()
    assert "there is no file" in run("models", "verify-bundle", tmp_path / "none").error()
    assert read_bundle(made.read_bytes(), TrustedKeys([key.public])).facts.items == 5
