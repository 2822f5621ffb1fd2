"""Clients that are slow, silent or too many keep neither the others nor the end of the server waiting."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from serving.config import ServingConfig
from tests.serving.published import Publisher
from tests.serving.running import PATIENCE, Server, config_of, running, started, until

HERE = "/v1/placements/home:recommend"
HALF_A_HEAD = b"GET /livez HTTP/1.1\r\n"
HALF_A_BODY = (
    f"POST {HERE} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{{".encode()
)
WHOLE = b"GET /livez HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for half a second at most."""
    folder = tmp_path_factory.mktemp("hasty")
    with started(hasty_config(Publisher(folder)), folder) as server:
        yield server


def hasty_config(publisher: Publisher) -> ServingConfig:
    return config_of(publisher, header_seconds=0.5, body_seconds=0.5, keep_alive_seconds=1, max_connections=30)


def connected(server: Server) -> socket.socket:
    return socket.create_connection((server.client.base_url.host, server.client.base_url.port), timeout=PATIENCE)


@contextmanager
def flood(server: Server, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """So many connections, each of which sends that and then nothing."""
    with ExitStack() as open_ones:
        connections = [open_ones.enter_context(connected(server)) for _ in range(count)]
        for connection in connections:
            try:
                connection.sendall(sent)
            except ConnectionError:  # one too many, and closed already
                continue
        yield connections


def until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """What still came, and after how many seconds the server closed."""
    begun, received = time.monotonic(), b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received, time.monotonic() - begun


def dripped(connection: socket.socket, sent: bytes) -> float:
    """Send byte by byte, and say after how many seconds the server had closed."""
    begun = time.monotonic()
    for letter in sent:
        try:
            connection.sendall(bytes([letter]))
        except ConnectionError:
            break
        time.sleep(0.02)
    return time.monotonic() - begun


def test_more_clients_than_files_are_refused_and_those_that_were_there_are_answered(
    publisher: Publisher, tmp_path: Path
) -> None:
    config = config_of(publisher, header_seconds=2.0)
    with running(config, tmp_path, open_files=128) as server:
        assert server.client.get("/livez").status_code == 200
        with flood(server, 280, HALF_A_HEAD) as connections:
            for _ in range(10):
                assert server.client.get("/livez").status_code == 200
            times = [until_closed(connection)[1] for connection in connections]
            assert max(times) < 10.0
        with connected(server) as connection:
            connection.sendall(WHOLE)
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        warned = server.logged("fewer connections than configured: the process may not open more")
        assert (warned[0]["open_files"], warned[0]["allowed"]) == (128, 64)
        assert "accept" not in server.log()
        assert server.log().count("\n") < 40
        assert server.stop() == 0


def test_one_connection_more_than_allowed_is_closed_at_once_and_room_is_made_again(hasty: Server) -> None:
    hasty.client.get("/livez")
    with flood(hasty, 29, b"") as connections, connected(hasty) as surplus:
        assert until_closed(surplus)[1] < 0.3
        connections[-1].sendall(WHOLE)
        assert connections[-1].recv(100).startswith(b"HTTP/1.1 200 ")
        connections[0].close()
        time.sleep(0.05)
        with connected(hasty) as another:
            another.sendall(WHOLE)
            assert another.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["first request", "second request"])
def test_a_head_that_is_dripped_is_given_up_in_time(hasty: Server, before: bytes) -> None:
    with connected(hasty) as connection:
        if before:
            connection.sendall(before)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert 0.4 < dripped(connection, HALF_A_HEAD * 15) < 5.0


def test_a_head_that_began_behind_another_request_is_no_idle_connection(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(WHOLE + HALF_A_HEAD)
        received, seconds = until_closed(connection)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert 0.4 < seconds < 0.9


def test_a_connection_that_sends_nothing_is_closed_in_time(hasty: Server) -> None:
    with connected(hasty) as connection:
        received, seconds = until_closed(connection)
    assert received == b""
    assert 0.4 < seconds < 5.0


def test_a_connection_that_is_idle_between_requests_is_closed_in_its_own_time(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(WHOLE)
        received, seconds = until_closed(connection)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert 0.9 < seconds < 5.0


def test_a_body_that_does_not_come_is_a_problem_and_the_connection_is_closed(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(HALF_A_BODY)
        received, seconds = until_closed(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head.lower()
    assert b"x-request-id: " in head
    assert json.loads(body)["type"] == "/problems/body-too-slow"
    assert 0.4 < seconds < 5.0


def test_the_rest_of_a_body_that_was_answered_already_may_not_drip_for_ever(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nhost: h\r\ncontent-length: 5000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        assert 0.4 < dripped(connection, b" " * 300) < 5.0


def test_a_client_that_takes_no_replies_is_left(hasty: Server) -> None:
    """Its replies fill what the kernel keeps for it; what is more waits in the server."""
    with connected(hasty) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /docs-assets/swagger-ui-bundle.js HTTP/1.1\r\nhost: h\r\n\r\n" * 20)
        assert 0.4 < dripped(connection, b" " * 300) < 5.0
    assert '"at"' not in hasty.log()


def test_told_to_stop_a_server_does_not_wait_for_those_who_do_not_send(publisher: Publisher, tmp_path: Path) -> None:
    with running(config_of(publisher), tmp_path) as server:
        with (
            flood(server, 50, b""),
            flood(server, 50, HALF_A_HEAD),
            flood(server, 50, WHOLE),
            flood(server, 50, WHOLE + HALF_A_HEAD),
            flood(server, 50, HALF_A_BODY),
        ):
            until(lambda: server.log().count('"/livez"') == 100, server.log)
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 6.0
        assert "CancelledError" not in server.log()
        assert server.log().count('"at"') == 0


def test_a_request_that_the_end_of_the_server_cuts_off_is_answered_and_is_one_line_of_log(
    publisher: Publisher, tmp_path: Path
) -> None:
    with running(config_of(publisher, drain_seconds=1, body_seconds=60.0), tmp_path) as server:
        with flood(server, 3, HALF_A_BODY) as connections:
            time.sleep(0.3)  # the heads are read
            assert server.stop() == 0
            replies = [until_closed(connection)[0] for connection in connections]
        assert [reply.partition(b"\r\n")[0] for reply in replies] == [b"HTTP/1.1 503 Service Unavailable"] * 3
        assert [json.loads(reply.partition(b"\r\n\r\n")[2])["type"] for reply in replies] == ["/problems/stopping"] * 3
        assert [line["status"] for line in server.logged("request", 3)] == [503] * 3
        assert "CancelledError" not in server.log()


def test_replies_that_are_due_when_a_server_is_told_to_stop_say_that_they_are_the_last(
    publisher: Publisher, tmp_path: Path
) -> None:
    """Requests within the app, which waits for its store: a client may send nothing on a connection that ends."""
    event = {"event_id": "e", "user_id": "u", "item_id": "item-1", "event": "view"}
    body = json.dumps({"events": [event]}).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    store = tmp_path / "store.sqlite"
    with running(config_of(publisher, store=store, store_timeout_seconds=10.0), tmp_path) as server:
        with closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with flood(server, 3, head.encode() + body) as connections:
                time.sleep(0.3)  # the requests are in the app
                server.process.terminate()
                time.sleep(0.3)
                other.execute("ROLLBACK")
                replies = [until_closed(connection)[0] for connection in connections]
        assert [reply.partition(b"\r\n")[0] for reply in replies] == [b"HTTP/1.1 207 Multi-Status"] * 3
        assert [reply.lower().count(b"\r\nconnection: close\r\n") for reply in replies] == [1] * 3
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "sent",
    [b"no http\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n"],
    ids=repr,
)
def test_what_is_no_http_is_a_problem_with_an_id(hasty: Server, sent: bytes) -> None:
    with connected(hasty) as connection:
        connection.sendall(sent)
        received, seconds = until_closed(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert b"\r\nx-request-id: " in head
    assert json.loads(body)["type"] == "/problems/malformed-request"
    assert seconds < 0.4


def test_a_request_framed_in_two_ways_is_refused_and_nothing_behind_it_is_read(hasty: Server) -> None:
    twice = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    with connected(hasty) as connection:
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n" + twice + WHOLE)
        received, _ = until_closed(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1
    body = json.loads(received.partition(b"\r\n\r\n")[2])
    assert body["type"] == "/problems/malformed-request"
    assert "not both" in body["detail"]


def test_a_body_that_breaks_http_after_its_reply_is_no_fault_of_ours(hasty: Server) -> None:
    with connected(hasty) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"no chunk\r\n")
        assert until_closed(connection)[1] < 0.4
    assert '"at"' not in hasty.log()
