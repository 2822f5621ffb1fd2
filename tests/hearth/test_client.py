"""The client against real servers, and against a network that fails as networks do."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from feature_store.errors import BadInput
from hearth.client import AsyncClient, Client, Problem, Unreachable
from tests.serving.published import Publisher, draft, personal, popular
from tests.serving.running import Server, config_of, started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    publisher = Publisher(folder)
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher, store=folder / "store.sqlite"), folder) as running:
        running.serves(model_id)
        yield running


def address(server: Server) -> str:
    return str(server.client.base_url)


def event(user_id: str, item_id: str) -> dict[str, object]:
    return {"event_id": item_id, "user_id": user_id, "item_id": item_id, "event": "view"}


def test_a_visit(server: Server) -> None:
    with Client(address(server)) as hearth:
        assert hearth.version().model_id == server.model_id()
        reply = hearth.recommend("home", user_id="ada", k=3)
        assert [item.item_id for item in reply.items] == [name for name, _ in popular(draft(1))][:3]
        assert reply.meta.degraded == ["popularity-fallback"]
        outcomes = hearth.send([event("ada", "item-2"), {**event("ada", "item-6"), "value": "many"}]).events
        assert [outcome.status for outcome in outcomes] == [201, 422]
        again = hearth.recommend("home", user_id="ada")
        assert [item.item_id for item in again.items] == [name for name, _ in personal(draft(1), ["item-2"])]
        session = hearth.recommend("home", session_events=({"item_id": "item-2"},), exclude_item_ids=("item-4",))
        assert session.privacy_tier == "ephemeral"
        assert "item-4" not in {item.item_id for item in session.items}


def test_a_visit_without_blocking(server: Server) -> None:
    async def run() -> list[list[str]]:
        async with AsyncClient(address(server)) as hearth:
            await hearth.send([event("bob", "item-6")])
            assert (await hearth.version()).model_id == server.model_id()
            replies = await asyncio.gather(*(hearth.recommend("home", user_id="bob", k=5) for _ in range(20)))
            return [[item.item_id for item in reply.items] for reply in replies]

    expected = [name for name, _ in personal(draft(1), ["item-6"])][:5]
    assert asyncio.run(run()) == [expected] * 20


def test_what_the_server_refuses_is_told_and_what_cannot_be_asked_is_not_sent(server: Server) -> None:
    with Client(address(server)) as hearth:
        with pytest.raises(Problem, match="404 /problems/unknown-placement") as refused:
            hearth.recommend("cellar")
        assert refused.value.status == 404
        with pytest.raises(Problem, match="#/k: k is at most 100"):
            hearth.recommend("home", k=101)
        for wrong in ({"k": 0}, {"user": "ada"}, {"k": "5"}, {"query_vector": [float("nan")]}):
            with pytest.raises(BadInput, match="this cannot be asked"):
                hearth.recommend("home", **wrong)  # type: ignore[arg-type,misc] # that is what is tried
        with pytest.raises(BadInput, match="a placement is named"):
            hearth.recommend("../admin")


def later(times: int, retry_after: str = "0") -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A server that says so often that it cannot now."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) <= times:
            body = {"type": "/problems/overloaded", "title": "Overloaded", "status": 503, "detail": "Later."}
            return httpx.Response(503, json=body, headers={"retry-after": retry_after})
        return httpx.Response(200, json={"hearth": "1", "model_id": None})

    return httpx.MockTransport(answer), seen


@pytest.mark.parametrize("retry_after", ["0", "", "soon"])
def test_a_server_that_says_later_is_asked_again_but_not_without_end(retry_after: str) -> None:
    transport, seen = later(2, retry_after)
    with Client("http://hearth", transport=transport, api_key="secret", retries=2) as hearth:
        assert hearth.version().hearth == "1"
    assert len(seen) == 3
    assert {request.headers["authorization"] for request in seen} == {"Bearer secret"}
    transport, seen = later(9)
    with (
        Client("http://hearth", transport=transport, retries=2) as hearth,
        pytest.raises(Problem, match="503 /problems/overloaded"),
    ):
        hearth.version()
    assert len(seen) == 3


def test_an_address_where_nobody_answers_or_somebody_else_does_is_said(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with Client(nowhere, retries=1) as hearth, pytest.raises(Unreachable, match="did not answer: ConnectError"):
        hearth.version()
    for response in (httpx.Response(200, text="<html>"), httpx.Response(502, text="bad gateway")):
        transport = httpx.MockTransport(lambda _, response=response: response)
        with Client("http://proxy", transport=transport) as hearth, pytest.raises(Unreachable, match="http://proxy"):
            hearth.version()


def test_a_connection_that_breaks_is_made_anew() -> None:
    """A server that hangs up on the first request and answers the second."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for body in (None, b'{"hearth": "1", "model_id": null}'):
                accepted, _ = listening.accept()
                with accepted:
                    accepted.recv(65536)
                    if body is not None:
                        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
                        accepted.sendall(head + body)

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(f"http://127.0.0.1:{listening.getsockname()[1]}") as hearth:
            assert hearth.version().hearth == "1"
        thread.join()
