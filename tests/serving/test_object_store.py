"""A server whose registry is in an object store."""

from pathlib import Path

import pytest

from feature_store.registry import Registry
from feature_store.signing import TrustedKeys
from tests.s3_server import running_s3
from tests.serving.published import Publisher, draft, popular
from tests.serving.running import config_of, started, until


def test_what_is_promoted_in_an_object_store_is_served_and_goes_on_being_served_without_it(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "s3://bucket/models"
    copies = tmp_path / "copies"
    with running_s3() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        s3.make_bucket("bucket")
        registry = Registry(place, TrustedKeys([publisher.key.public]))
        config = config_of(publisher, registry=place, copies=copies)
        with started(config, tmp_path) as server:
            assert server.client.get("/readyz").status_code == 503
            for seed in (1, 2):
                model_id = registry.publish(draft(seed), publisher.key).checkpoint_id
                registry.promote(model_id)
                server.serves(model_id)
                assert [item["item_id"] for item in server.ask()["items"]] == [name for name, _ in popular(draft(seed))]
                assert (copies / model_id).is_dir()

            s3.kill()
            until(lambda: "failure" in server.client.get("/readyz").json()["checks"]["model"], server.log)
            assert server.client.get("/readyz").status_code == 200
            assert server.ask()["model_id"] == model_id
