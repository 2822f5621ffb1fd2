"""Item bundles over HTTP: a device gets the whole one once, and then changes."""

from pathlib import Path

import pytest

from feature_store.item_bundle import bundle_of, make_bundle, read_bundle
from feature_store.item_bundle_delta import apply_delta, make_delta
from feature_store.signing import TrustedKeys
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def test_a_device_fetches_the_bundle_once_and_then_what_changed(publisher: Publisher, tmp_path: Path) -> None:
    folder = tmp_path / "bundles"
    folder.mkdir()
    first, second = (publisher.publish(draft(seed)) for seed in (1, 2))
    old, new = (
        bundle_of(make_bundle(publisher.registry.load(checkpoint_id), {}, publisher.key))
        for checkpoint_id in (first, second)
    )
    (folder / f"{first}.bundle").write_bytes(old.sealed.to_bytes())
    (folder / f"{second}.bundle").write_bytes(new.sealed.to_bytes())
    (folder / f"{first}..{second}.delta").write_bytes(make_delta(old, new, publisher.key))
    trusted = TrustedKeys([publisher.key.public])
    with started(config_of(publisher, bundles=folder), tmp_path) as server:
        server.serves(second)
        get = server.client.get
        whole = get(f"/v1/item-bundles/{first}")
        assert (whole.status_code, whole.headers["x-bundle-kind"]) == (200, "whole")
        held = read_bundle(whole.content, trusted)

        changes = get("/v1/item-bundles/current", params={"since": first})
        assert (changes.headers["x-checkpoint-id"], changes.headers["x-bundle-kind"]) == (second, "changes")
        assert apply_delta(held, changes.content, trusted).sealed.to_bytes() == new.sealed.to_bytes()
        assert get("/v1/item-bundles/current", params={"since": "r0000-gone"}).content == new.sealed.to_bytes()

        again = get(f"/v1/item-bundles/{first}", headers={"if-none-match": whole.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        rest = get(f"/v1/item-bundles/{first}", headers={"range": "bytes=100-", "if-range": whole.headers["etag"]})
        assert (rest.status_code, rest.content) == (206, whole.content[100:])

        for unit, status in (("items=0-1", 200), ("bytes=0-0", 206), ("bytes=x", 416)):
            assert get(f"/v1/item-bundles/{first}", headers={"range": unit}).status_code == status, unit

        for nowhere in ("r0009-none", "..%2Fregistry", f"{first}..{second}", "%00"):
            reply = get(f"/v1/item-bundles/{nowhere}")
            assert reply.status_code == 404, nowhere
            assert reply.headers["content-type"] == "application/problem+json"
        (folder / f"{first}.bundle").write_bytes(new.sealed.to_bytes())
        assert get(f"/v1/item-bundles/{first}").headers["etag"] != whole.headers["etag"]


def test_a_server_without_bundles_says_so(publisher: Publisher, tmp_path: Path) -> None:
    with started(config_of(publisher), tmp_path) as server:
        reply = server.client.get("/v1/item-bundles/current")
        assert (reply.status_code, reply.json()["type"]) == (404, "/problems/no-bundle")
