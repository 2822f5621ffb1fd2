"""What a registry promises wherever it stands: in a folder, in a store of this process, and in one that speaks S3."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from feature_store.errors import (
    BadInput,
    CorruptCheckpoint,
    NothingPromoted,
    RegistryConflict,
    UnknownCheckpoint,
    UntrustedCheckpoint,
)
from feature_store.registry import Registry, this_account
from feature_store.registry_collection import Rules
from feature_store.signing import SigningKey
from feature_store.stages import Stages, Teller
from tests.feature_store.drafts import a_draft, registry_of
from tests.s3_server import S3Server, running_s3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with running_s3() as server:
        yield server


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path | str]:
    match request.param:
        case "folder":
            yield tmp_path / "registry"
        case "memory":
            yield f"memory://{tmp_path.name}/models"
            fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)
        case _:
            server: S3Server = request.getfixturevalue("s3")
            for name, value in server.environment.items():
                monkeypatch.setenv(name, value)
            bucket = tmp_path.name.replace("_", "-").strip("-")[:60]
            server.make_bucket(bucket)
            yield f"s3://{bucket}/models"


@pytest.fixture
def registry(place: Path | str, key: SigningKey) -> Registry:
    return registry_of(place, key)


def published(registry: Registry, key: SigningKey, *seeds: int) -> list[str]:
    return [registry.publish(a_draft(seed), key).checkpoint_id for seed in seeds]


def test_what_is_published_is_listed_and_loads_by_every_reader(
    registry: Registry, place: Path | str, key: SigningKey
) -> None:
    third, first = published(registry, key, 3, 1)
    assert registry.publish(a_draft(1), key) == registry.manifest(first)
    reader = registry_of(place, key)
    assert reader.checkpoint_ids() == [first, third]
    checkpoint = reader.load(third)
    assert checkpoint.manifest == registry.manifest(third)
    assert checkpoint.item_vectors.tobytes() == a_draft(3).item_vectors.tobytes()
    with pytest.raises(UnknownCheckpoint, match=f"'r0009-aa' in .*there are: {first}, {third}"):
        reader.load("r0009-aa")


def test_nothing_is_promoted_by_publishing_and_nothing_rolled_back_to_nothing(
    registry: Registry, key: SigningKey
) -> None:
    [only] = published(registry, key, 1)
    with pytest.raises(NothingPromoted, match=f"published: {only}"):
        registry.production()
    with pytest.raises(NothingPromoted, match="before None"):
        registry.roll_back()
    assert registry.audit() == []


def test_promotions_and_roll_backs_are_seen_by_a_reader_that_looked_before(
    registry: Registry, place: Path | str, key: SigningKey
) -> None:
    a, b, c = published(registry, key, 1, 2, 3)
    watching = registry_of(place, key)
    assert watching.stages() == Stages()
    assert registry.promote(a) == Stages(a) == watching.stages()
    assert registry.promote(c) == Stages(c, (a,)) == watching.stages()
    assert watching.promote(b) == Stages(b, (a, c)) == registry.stages()
    assert registry.roll_back() == Stages(c, (a,)) == watching.stages()
    assert registry_of(place, key).production() == c


def test_a_shadow_is_beside_production_until_it_is_promoted_or_taken_out(registry: Registry, key: SigningKey) -> None:
    a, b, c = published(registry, key, 1, 2, 3)
    registry.promote(a)
    assert registry.promote(b, "shadow") == Stages(a, (), b)
    assert [registry.stages().of(name) for name in (a, b, c)] == ["production", "shadow", "candidate"]
    assert registry.promote(c, "shadow") == Stages(a, (), c)
    assert registry.promote(c, "candidate") == Stages(a)
    registry.promote(b, "shadow")
    assert registry.promote(b) == Stages(b, (a,))
    registry.promote(a, "shadow")
    assert registry.roll_back() == Stages(a)
    with pytest.raises(BadInput, match=f"{a} is in production and cannot become shadow"):
        registry.promote(a, "shadow")
    assert registry.production() == a


def test_each_change_leaves_one_line_of_who_did_what_and_why(
    registry: Registry, place: Path | str, key: SigningKey
) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a, who="anna@lab", why="first")
    registry.promote(a, who="nobody", why="it is there already")
    registry.promote(b, "shadow")
    registry.promote(b, who="anna@lab", why="better at 20")
    registry.roll_back(who="ops", why="latency")
    lines = [entry.change for entry in registry_of(place, key).audit()]
    told = [(c.who, c.why, c.what, c.checkpoint_id, c.from_stage, c.to_stage, c.replaced) for c in lines if c]
    assert told == [
        ("ops", "latency", "roll back", a, "candidate", "production", b),
        ("anna@lab", "better at 20", "promote", b, "shadow", "production", a),
        (this_account(), "", "promote", b, "candidate", "shadow", None),
        ("anna@lab", "first", "promote", a, "candidate", "production", None),
    ]
    assert [line.when for line in lines if line] == sorted((line.when for line in lines if line), reverse=True)
    assert [entry.number for entry in registry.audit(most=2)] == [4, 3]
    assert [entry.production for entry in registry.audit()] == [a, b, a, a]


@pytest.mark.parametrize(("who", "why"), [("w" * 201, ""), ("anna", "y" * 1001)])
def test_what_the_trail_has_no_place_for_changes_nothing(
    registry: Registry, key: SigningKey, who: str, why: str
) -> None:
    [a] = published(registry, key, 1)
    with pytest.raises(BadInput, match="a name of 1 to 200 characters and a reason of at most 1000"):
        registry.promote(a, who=who, why=why)
    assert registry.stages() == Stages()


def test_a_collection_removes_what_nobody_needs_and_says_so_before(
    registry: Registry, place: Path | str, key: SigningKey
) -> None:
    old, middle, before, now, shadow, needed, candidate = published(registry, key, 1, 2, 3, 4, 5, 6, 7)
    for checkpoint_id in (old, needed, middle, before, now):
        registry.promote(checkpoint_id)
    registry.promote(shadow, "shadow")
    rules = Rules(keep=1, needed=frozenset({needed}), grace=0.0)
    planned = registry.collect(rules)
    assert planned.removed == tuple(sorted([old, middle]))
    assert planned.kept == {
        now: "production",
        shadow: "shadow",
        before: "roll back",
        needed: "needed",
        candidate: "candidate",
    }
    assert len(registry.checkpoint_ids()) == 7
    assert registry.collect(rules, dry_run=False, who="ops", why="disk") == planned
    reader = registry_of(place, key)
    assert reader.checkpoint_ids() == sorted([before, now, shadow, needed, candidate])
    assert reader.stages() == Stages(now, (needed, before), shadow)
    lines = [entry.change for entry in reader.audit(2)]
    assert [(line.what, line.who, line.why, line.removed) for line in lines if line] == [
        ("collected", "ops", "disk", planned.removed),
        ("collect", "ops", "disk", planned.removed),
    ]
    with pytest.raises(UnknownCheckpoint):
        registry.promote(old)
    assert registry.collect(rules, dry_run=False).removed == ()
    assert len(registry.audit()) == 8  # six promotions and two lines of one collection
    assert registry.roll_back().production == before
    assert registry.publish(a_draft(1), key).checkpoint_id == old
    assert registry.promote(old).production == old


def test_what_a_broken_off_collection_was_removing_is_not_promoted_until_another_has_ended_it(
    registry: Registry, key: SigningKey
) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a)
    now = registry._files.newest()
    line = Teller("ops").removed("collect", (b,))
    assert registry._files.add_entry(now.followed_by(now.stages, line, removing=(b,)))
    for ask in (lambda: registry.promote(b), lambda: registry.publish(a_draft(2), key)):
        with pytest.raises(RegistryConflict, match=f"{b} is being removed"):
            ask()
    assert registry.promote(a) == Stages(a)
    assert registry.collect(Rules(keep=1, grace=0.0), dry_run=False).removed == (b,)
    assert registry.publish(a_draft(2), key).checkpoint_id == b
    assert registry.promote(b) == Stages(b, (a,))


def test_of_two_who_change_the_same_stages_one_is_told_that_it_was_second(registry: Registry, key: SigningKey) -> None:
    a, b = published(registry, key, 1, 2)
    registry.promote(a)
    now = registry._files.newest()
    line = Teller("ops").moved(b, now.stages, "shadow")
    assert registry._files.add_entry(now.followed_by(Stages(a, (), b), line))
    assert not registry._files.add_entry(
        now.followed_by(Stages(b, (a,)), Teller("anna").moved(b, now.stages, "shadow"))
    )
    assert registry.stages() == Stages(a, (), b)


def test_nothing_that_was_just_published_is_collected(registry: Registry, key: SigningKey) -> None:
    published(registry, key, 1, 2, 3)
    collected = registry.collect(Rules(keep=1, grace=60.0), dry_run=False)
    assert set(collected.kept.values()) == {"young"}
    assert len(registry.checkpoint_ids()) == 3


def test_a_checkpoint_is_copied_from_a_folder_as_it_was_signed(
    registry: Registry, key: SigningKey, tmp_path: Path
) -> None:
    source = registry_of(tmp_path / "source", key)
    manifest = source.publish(a_draft(4), key)
    assert registry.copy(manifest.checkpoint_id, source) == manifest
    assert registry.copy(manifest.checkpoint_id, source) == manifest
    assert registry.load(manifest.checkpoint_id).manifest == manifest
    foreign = SigningKey.generate()
    theirs = registry_of(source.folder, foreign).publish(a_draft(5), foreign).checkpoint_id
    with pytest.raises(UntrustedCheckpoint, match=foreign.public.key_id):
        registry.copy(theirs, source)
    vectors = source.folder / "checkpoints" / source.publish(a_draft(6), key).checkpoint_id / "item_ids.json"
    vectors.write_bytes(vectors.read_bytes() + b" ")
    with pytest.raises(CorruptCheckpoint, match=r"item_ids\.json"):
        registry.copy(vectors.parent.name, source)
    assert registry.checkpoint_ids() == [manifest.checkpoint_id]
