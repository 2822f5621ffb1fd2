"""A server that speaks HTTPS itself, with a certificate of an authority that was made for the test."""

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from feature_store.durable import replace
from feature_store.errors import BadInput
from serving.access.certificate import context_of
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
    context_of(made.certificate, made.key)
    for certificate, key in ((made.certificate, other.key), (made.certificate, tmp_path / "none.pem")):
        with pytest.raises(BadInput) as refused:
            context_of(certificate, key)
        assert str(certificate) in str(refused.value)
        assert str(key) in str(refused.value)


def test_a_renewed_certificate_is_shown_without_a_restart_and_never_one_whose_key_is_not_there(
    publisher: Publisher, tmp_path: Path
) -> None:
    made = Authority(tmp_path)
    first, (second, second_key) = made.certificate.read_bytes(), made.signed()
    publisher.publish(draft(1))
    config = config_of(publisher, certificate=made.certificate, certificate_key=made.key)
    with running(config, tmp_path) as server:
        address = server.logged("listening")[0]["address"]
        context = ssl.create_default_context(cafile=str(made.authority))

        def shown() -> bytes:
            """What a new connection is shown, which also has to be good."""
            there = urlsplit(address)
            with (
                socket.create_connection((there.hostname, there.port), PATIENCE) as plain,
                context.wrap_socket(plain, server_hostname=there.hostname) as connection,
            ):
                return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"").encode()

        with httpx.Client(base_url=address, verify=context, timeout=PATIENCE) as client:

            def check() -> object:
                return client.get("/readyz").json()["checks"]["certificate"]

            until(lambda: client.get("/readyz").status_code == 200, server.log)
            assert (shown(), check()) == (first, {"status": "ok"})

            replace(made.key, second_key)  # the half of a renewal
            until(lambda: check() == {"status": "stale", "reason": "BadInput"}, server.log)
            assert shown() == first

            replace(made.certificate, second)
            until(lambda: shown() == second, server.log)
            assert check() == {"status": "ok"}
            assert client.get("/livez").status_code == 200  # on the connection that was made before

            replace(made.certificate, b"no certificate")
            until(lambda: check() == {"status": "stale", "reason": "BadInput"}, server.log)
            assert shown() == second
            counted = 'hearth_file_loads_total{file="certificate",outcome="failure"} 2.0'
            assert counted in client.get("/metrics").text
        assert server.stop() == 0
