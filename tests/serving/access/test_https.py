"""A server that speaks HTTPS itself, with a certificate of an authority that was made for the test."""

import ssl
from pathlib import Path

import httpx
import pytest

from feature_store.errors import BadInput
from serving.access.certificate import require_certificate
from tests.serving.access.authority import Authority
from tests.serving.published import Publisher, draft, popular
from tests.serving.running import PATIENCE, config_of, running, until


def test_over_https_people_are_answered_by_who_the_authority_says_and_plain_http_is_not(
    publisher: Publisher, tmp_path: Path
) -> None:
    made, content = Authority(tmp_path), draft(1)
    model_id = publisher.publish(content)
    config = config_of(publisher, certificate=made.certificate, certificate_key=made.key)
    with running(config, tmp_path) as server:
        address = server.logged("listening")[0]["address"]
        assert address.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(made.authority))
        with httpx.Client(base_url=address, verify=context, timeout=PATIENCE) as client:
            until(lambda: client.get("/version").json()["model_id"] == model_id, server.log)
            reply = client.post("/v1/placements/home:recommend", json={}).json()
            assert [item["item_id"] for item in reply["items"]] == [item_id for item_id, _ in popular(content)]
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            server.client.get(f"{address}/livez")
        with pytest.raises(httpx.RemoteProtocolError):
            server.client.get(f"{address.replace('https', 'http')}/livez")
        assert server.stop() == 0


def test_a_certificate_and_a_key_that_do_not_go_together_are_said_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    made, other = Authority(tmp_path), Authority(tmp_path / "other")
    require_certificate(made.certificate, made.key)
    for certificate, key in ((made.certificate, other.key), (made.certificate, tmp_path / "none.pem")):
        with pytest.raises(BadInput) as refused:
            require_certificate(certificate, key)
        assert str(certificate) in str(refused.value)
        assert str(key) in str(refused.value)
