"""A registry in an object store: what happens there that cannot happen in a folder."""

import concurrent.futures
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import pytest

from feature_store.errors import BadInput, CorruptCheckpoint, RegistryUnavailable, UntrustedCheckpoint
from feature_store.registry import Registry
from feature_store.registry_collection import Rules
from feature_store.signing import SigningKey
from feature_store.stages import Stages
from tests.feature_store.drafts import a_draft, registry_of
from tests.feature_store.test_registry_killed import KILLED, assert_sound, writer
from tests.s3_server import S3Server, running_s3

PLACE = "s3://bucket/models"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with running_s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.make_bucket("bucket")
        yield server


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "key.pem")


@pytest.fixture
def registry(s3: S3Server, key: SigningKey) -> Registry:
    return registry_of(PLACE, key)


def objects(registry: Registry) -> "fsspec.AbstractFileSystem":
    return fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_a_writer_killed_before_one_of_its_requests_leaves_a_sound_registry(
    s3: S3Server, key: SigningKey, tmp_path: Path, stride: int
) -> None:
    """Publishing and promoting the second checkpoint is stopped before its 1st, 2nd, ... request to the store."""
    steps = 1
    with writer() as program:
        while True:
            place = f"{PLACE}/stopped at {steps}"
            registry = registry_of(place, key)
            first = registry.publish(a_draft(1), key).checkpoint_id
            registry.promote(first)
            program.begin(job="publish", folder=place, key=str(tmp_path / "key.pem"), seeds=[2], stop=steps)
            ended = program.end()
            stages = assert_sound(registry_of(place, key))
            second = registry.publish(a_draft(2), key).checkpoint_id
            assert stages in {Stages(first), Stages(second, (first,))}
            assert registry.promote(second) == Stages(second, (first,))
            assert registry.roll_back() == Stages(first)
            assert registry.audit()[0].number == 3
            if ended == 0:
                break
            assert ended == KILLED
            steps += stride
    assert steps > 10


def test_two_writers_at_once_lose_no_promotion(s3: S3Server, key: SigningKey, tmp_path: Path) -> None:
    with writer() as one, writer() as other:
        for program, seeds in ((one, list(range(3))), (other, list(range(3, 6)))):
            program.begin(job="publish", folder=PLACE, key=str(tmp_path / "key.pem"), seeds=seeds, stop=0)
        reader = registry_of(PLACE, key)
        while reader.stages().production is None:
            time.sleep(0.05)  # the store answers one at a time
        seen = {assert_sound(reader).production for _ in range(2)}
        assert [one.end(), other.end()] == [0, 0]
    assert seen <= {*reader.checkpoint_ids()}
    stages = assert_sound(registry_of(PLACE, key))
    assert sorted([*stages.previous, str(stages.production)]) == reader.checkpoint_ids()
    assert len(reader.checkpoint_ids()) == 6
    assert [entry.number for entry in reader.audit()] == list(range(6, 0, -1))


def test_many_who_publish_the_same_content_at_once_make_one_checkpoint(s3: S3Server, key: SigningKey) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(lambda _: registry_of(PLACE, key).publish(a_draft(1), key), range(4)))
    reader = registry_of(PLACE, key)
    assert {manifest.checkpoint_id for manifest in manifests} == set(reader.checkpoint_ids())
    assert {manifest.created for manifest in manifests} == {reader.manifest(manifests[0].checkpoint_id).created}


def test_a_half_published_checkpoint_is_none_and_goes_when_it_is_old(registry: Registry, key: SigningKey) -> None:
    [a, half] = [registry.publish(a_draft(seed), key).checkpoint_id for seed in (1, 2)]
    objects(registry).rm_file(f"bucket/models/checkpoints/{half}/manifest.json")
    assert registry.checkpoint_ids() == [a]
    assert registry.collect(Rules(keep=1, grace=60.0)).removed == ()
    assert registry.collect(Rules(keep=1, grace=0.0), dry_run=False).removed == (half,)
    assert objects(registry).find(f"bucket/models/checkpoints/{half}") == []
    assert registry.publish(a_draft(2), key).checkpoint_id == half
    assert registry.load(half).manifest.round_number == 2


def test_a_store_that_is_away_is_named_and_serves_again_when_it_is_back(
    registry: Registry, key: SigningKey, s3: S3Server
) -> None:
    [a] = [registry.publish(a_draft(1), key).checkpoint_id]
    s3.kill()
    for ask in (registry.stages, registry.checkpoint_ids, lambda: registry.promote(a)):
        with pytest.raises(
            RegistryUnavailable, match=r"s3://bucket/models cannot be used now.*EndpointConnectionError"
        ):
            ask()
    s3.start()
    s3.make_bucket("bucket")  # the store of the tests forgets
    assert registry.checkpoint_ids() == []


def test_a_bucket_that_is_not_there_is_named(s3: S3Server, key: SigningKey) -> None:
    registry = registry_of("s3://no-such-bucket/models", key)
    for ask in (registry.stages, registry.checkpoint_ids, lambda: registry.publish(a_draft(1), key)):
        with pytest.raises(RegistryUnavailable, match=r"s3://no-such-bucket/models .*NoSuchBucket"):
            ask()


def test_who_is_not_let_in_is_told_so(s3: S3Server, key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}
    content = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    fsspec.filesystem("s3", skip_instance_cache=True).call_s3("put_bucket_policy", Bucket="bucket", Policy=content)
    registry = registry_of(PLACE, key)
    with pytest.raises(RegistryUnavailable, match=r"403|AccessDenied"):
        registry.publish(a_draft(1), key)


@pytest.mark.parametrize("place", ["s3://", "file:///tmp/models", "local://models", "nothing-that-is://bucket/models"])
def test_a_place_that_is_none_is_refused(place: str, key: SigningKey) -> None:
    with pytest.raises(BadInput, match=place):
        registry_of(place, key)


def test_files_beside_checkpoints_need_a_folder(key: SigningKey) -> None:
    with pytest.raises(BadInput, match="memory://models"):
        _ = registry_of("memory://models", key).folder


class CarelessStore(fsspec.get_filesystem_class("memory")):  # type: ignore[misc]  # fsspec has no types
    """A store that writes over what is there even when told not to, as some that speak S3 do."""

    protocol = "careless"
    cachable = False
    store: dict[str, object] = {}  # noqa: RUF012 - as fsspec's own has it

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        super().pipe_file(path, value, mode="overwrite", **kwargs)


def test_a_store_that_writes_over_what_is_there_is_refused(key: SigningKey) -> None:
    fsspec.register_implementation("careless", CarelessStore, clobber=True)
    registry = registry_of("careless://bucket/models", key)
    with pytest.raises(RegistryUnavailable, match="wrote over an object"):
        registry.publish(a_draft(1), key)
    assert registry.checkpoint_ids() == []


class StammeringStore(CarelessStore):
    """A store whose every answer is lost once: who asks again is told that the object is there, and it is their own."""

    protocol = "stammering"
    store: dict[str, object] = {}  # noqa: RUF012 - as fsspec's own has it

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        was_there = self.exists(path)
        if not (was_there and mode == "create"):
            super().pipe_file(path, value, **kwargs)
        if mode == "create":
            raise FileExistsError(path)


def test_who_has_to_ask_twice_finds_what_they_wrote_the_first_time(key: SigningKey) -> None:
    fsspec.register_implementation("stammering", StammeringStore, clobber=True)
    registry = registry_of("stammering://bucket/models", key)
    a, b, c = [registry.publish(a_draft(seed), key).checkpoint_id for seed in (1, 2, 3)]
    for checkpoint_id in (a, b, c):
        registry.promote(checkpoint_id)
    assert registry.roll_back() == Stages(b, (a,)) == registry.stages()  # and not twice
    assert [entry.number for entry in registry.audit()] == [4, 3, 2, 1]


@pytest.fixture
def local(key: SigningKey, tmp_path: Path) -> Iterator[str]:
    """A registry in a store of this process, with one checkpoint in production."""
    place = f"memory://{tmp_path.name}/models"
    registry = registry_of(place, key)
    registry.promote(registry.publish(a_draft(1), key).checkpoint_id)
    yield place
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_a_checkpoint_is_fetched_once_and_a_damaged_copy_anew(local: str, key: SigningKey, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    registry = registry_of(local, key, copies)
    a = registry.production()
    manifest = registry.load(a).manifest
    memory = fsspec.filesystem("memory")
    vectors = f"{local.removeprefix('memory:/')}/checkpoints/{a}/item_vectors.safetensors"
    whole = memory.cat_file(vectors)
    memory.rm_file(vectors)
    assert registry.load(a).manifest == manifest
    (copies / a / "item_counts.safetensors").write_bytes(b"damaged")
    with pytest.raises(CorruptCheckpoint, match=r"is not whole.*item_vectors\.safetensors"):
        registry.load(a)
    memory.pipe_file(vectors, whole)
    assert registry.load(a).manifest == manifest
    assert [path.name for path in copies.iterdir()] == [a]


@pytest.mark.parametrize("how", ["promote", "roll back"])
def test_nothing_goes_into_production_on_the_word_of_a_copy(
    local: str, key: SigningKey, tmp_path: Path, how: str
) -> None:
    """What others will fetch counts, and not what this machine still has."""
    registry = registry_of(local, key, tmp_path / "copies")
    a = registry.production()
    b = registry.publish(a_draft(2), key).checkpoint_id
    if how == "roll back":
        registry.promote(b)
        a, b = b, a
    registry.load(b)
    fsspec.filesystem("memory").rm_file(f"{local.removeprefix('memory:/')}/checkpoints/{b}/item_vectors.safetensors")
    change = partial(registry.promote, b) if how == "promote" else registry.roll_back
    with pytest.raises(CorruptCheckpoint, match=r"is not whole.*item_vectors\.safetensors"):
        change()
    assert registry.production() == a
    assert registry.load(b).manifest.checkpoint_id == b


def test_the_copies_used_longest_ago_are_let_go(local: str, key: SigningKey, tmp_path: Path) -> None:
    registry = registry_of(local, key, tmp_path / "copies")
    ids = [registry.publish(a_draft(seed), key).checkpoint_id for seed in range(1, 7)]
    for name in (*ids[:4], ids[0], ids[4], ids[5]):
        registry.load(name)
    assert {path.name for path in (tmp_path / "copies").iterdir()} == {ids[0], ids[3], ids[4], ids[5]}


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("item_ids.json", b"[]", CorruptCheckpoint, r"item_ids\.json .* has 2 bytes"),
        ("item_ids.json", b"x" * 200, CorruptCheckpoint, r"item_ids\.json has more than the \d+ bytes"),
        ("manifest.json", b"{}", CorruptCheckpoint, "is not whole"),
        ("manifest.json", b" " * ((1 << 20) + 1), CorruptCheckpoint, "has more than the 1048576 bytes"),
    ],
)
def test_what_somebody_changed_in_the_store_is_not_believed(
    local: str, key: SigningKey, name: str, content: bytes, error: type[Exception], says: str
) -> None:
    registry = registry_of(local, key)
    a = registry.production()
    fsspec.filesystem("memory").pipe_file(f"{local.removeprefix('memory:/')}/checkpoints/{a}/{name}", content)
    with pytest.raises(error, match=says):
        registry.load(a)


def test_a_checkpoint_in_a_store_needs_a_trusted_signature(local: str) -> None:
    reader = registry_of(local, SigningKey.generate())
    with pytest.raises(UntrustedCheckpoint, match="which is not trusted"):
        reader.load(reader.production())


@pytest.mark.parametrize(
    "content", [b"{}", b'{"production": null, "previous": [], "number": 3}', b"[" * 100_000, b"\xff"]
)
def test_an_entry_of_the_stages_that_is_none_is_an_error_that_names_it(
    local: str, key: SigningKey, content: bytes
) -> None:
    fsspec.filesystem("memory").pipe_file(f"{local.removeprefix('memory:/')}/stages/0000000002.json", content)
    with pytest.raises(CorruptCheckpoint, match=r"stages/0000000002\.json"):
        registry_of(local, key).stages()
