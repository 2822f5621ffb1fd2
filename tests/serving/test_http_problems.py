"""Every error over a real socket is a problem (RFC 9457), and says nothing of what was sent."""

import json
import socket
import time
from typing import Any

import httpx
import pytest

from tests.serving.running import Server, until

HERE = "/v1/placements/home:recommend"


def problem(response: httpx.Response, status: int, slug: str) -> Any:
    """The body of a reply that must be this problem."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.headers["x-request-id"]) == 32
    body = response.json()
    assert (body["type"], body["status"]) == (f"/problems/{slug}", status)
    assert body["title"]
    assert body["detail"]
    return body


def pointers(response: httpx.Response) -> list[str]:
    return [fault["pointer"] for fault in problem(response, 422, "invalid-request")["errors"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"k": 0}, ["#/k"]),
        ({"k": 81}, ["#/k"]),
        ({"k": "5"}, ["#/k"]),
        ({"k": 2.5}, ["#/k"]),
        ({"k": None}, ["#/k"]),
        ({"user_id": ""}, ["#/user_id"]),
        ({"user_id": 5}, ["#/user_id"]),
        ({"user_id": "x" * 257}, ["#/user_id"]),
        ({"usr_id": "anna"}, ["#/usr_id"]),
        (
            {"session_events": [{"item_id": "a"}, {"item": "b"}]},
            ["#/session_events/1/item_id", "#/session_events/1/item"],
        ),
        ({"session_events": [{"item_id": "a", "user_id": "b"}]}, ["#/session_events/0/user_id"]),
        ({"session_events": [{"item_id": "a"}] * 101}, ["#/session_events"]),
        ({"exclude_item_ids": ["a"] * 101}, ["#/exclude_item_ids"]),
        ({"exclude_item_ids": ["a", 5]}, ["#/exclude_item_ids/1"]),
        ({"query_vector": [], "checkpoint_id": "c"}, ["#/query_vector"]),
        ({"query_vector": [1.0, "2"], "checkpoint_id": "c"}, ["#/query_vector/1"]),
        ({"query_vector": [1.0, 1e39], "checkpoint_id": "c"}, ["#/query_vector"]),
        ({"query_vector": [1.0] * 8}, ["#/checkpoint_id"]),
        ({"checkpoint_id": "c"}, ["#/checkpoint_id"]),
        ({"query_vector": [1.0] * 8, "checkpoint_id": "c", "user_id": "anna"}, ["#/query_vector"]),
        ({"query_vector": [1.0] * 8, "checkpoint_id": "c", "session_events": []}, ["#/query_vector"]),
        ([], ["#"]),
        ("recommend", ["#"]),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_with_the_place(server: Server, body: object, expected: list[str]) -> None:
    assert pointers(server.client.post(HERE, json=body)) == expected


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_vector_of_anything_but_finite_numbers_is_refused(server: Server, number: str) -> None:
    content = f'{{"query_vector": [1.0, {number}], "checkpoint_id": "c"}}'
    response = server.client.post(HERE, content=content, headers={"content-type": "application/json"})
    assert pointers(response) == ["#/query_vector/1"]


def test_a_vector_of_another_length_than_the_model_s_is_refused_naming_both(server: Server) -> None:
    body = problem(server.recommend(query_vector=[1.0] * 7, checkpoint_id=server.model_id()), 422, "invalid-request")
    assert [fault["pointer"] for fault in body["errors"]] == ["#/query_vector"]
    assert "8 numbers; got 7" in body["errors"][0]["detail"]


def test_a_vector_of_another_checkpoint_is_a_conflict_naming_both(server: Server) -> None:
    body = problem(server.recommend(query_vector=[1.0] * 8, checkpoint_id="r0009-other"), 409, "checkpoint-mismatch")
    assert (body["given_checkpoint_id"], body["live_checkpoint_id"]) == ("r0009-other", server.model_id())
    assert "r0009-other" in body["detail"]
    assert server.model_id() in body["detail"]


def test_an_empty_batch_of_events_and_one_that_is_too_long_are_refused(server: Server) -> None:
    assert pointers(server.post()) == ["#/events"]
    assert pointers(server.post(*[{}] * 51)) == ["#/events"]
    assert pointers(server.client.post("/v1/events", json={"events": [{}], "user_id": "anna"})) == ["#/user_id"]


@pytest.mark.parametrize("path", ["/", "/v1/unknown", "/livez/", "/v1/placements/a/b:recommend", "/redoc"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_address_is_a_problem(server: Server, method: str, path: str) -> None:
    body = problem(server.client.request(method, path), 404, "unknown-route")
    assert "/docs" in body["detail"]
    assert path == "/" or path not in json.dumps(body)


def test_an_unknown_placement_is_a_problem(server: Server) -> None:
    problem(server.recommend("cellar"), 404, "unknown-placement")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", HERE, "POST"), ("PUT", "/v1/events", "POST"), ("DELETE", "/livez", "GET, HEAD"), ("HEAD", HERE, "POST")],
)
def test_a_method_that_an_address_does_not_take_is_a_problem(
    server: Server, method: str, path: str, allowed: str
) -> None:
    response = server.client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    if method != "HEAD":
        problem(response, 405, "method-not-allowed")


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_sent_as_json_is_a_problem(server: Server, kind: str) -> None:
    response = server.client.post(HERE, content=b"{}", headers={"content-type": kind})
    problem(response, 415, "unsupported-media-type")


def test_a_charset_beside_the_media_type_is_taken(server: Server) -> None:
    response = server.client.post(HERE, content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{", "The body is not JSON."),
        (b'{"k": 5} ,', "The body is not JSON."),
        (b'{"user_id": "\xff"}', "The body is not in UTF-8."),
        ('{"k": 5}'.encode("utf-16"), "The body is not in UTF-8."),
        ('{"k": 5}'.encode("utf-16-be"), "The body is not in UTF-8."),
        ('{"k": 5}'.encode("utf-32-le"), "The body is not in UTF-8."),
        (b'{"user_id": "\xed\xa0\x80"}', "The body is not in UTF-8."),
        (b'{"k": ' + b"[" * 9000 + b"]" * 9000 + b"}", "The body is nested too deeply."),
        (b'{"k": ' + b"1" * 9000 + b"}", "A number in the body has too many digits."),
    ],
    ids=["half", "more", "latin", "16", "16 unmarked", "32", "surrogate", "deep", "long"],
)
def test_a_body_that_is_not_json_is_a_problem_that_says_why(server: Server, content: bytes, detail: str) -> None:
    response = server.client.post(HERE, content=content, headers={"content-type": "application/json"})
    assert problem(response, 400, "malformed-body")["detail"] == detail


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'"recommend"'], ids=repr)
def test_a_body_that_is_no_object_is_told_what_is_wanted(server: Server, content: bytes) -> None:
    response = server.client.post(HERE, content=content, headers={"content-type": "application/json"})
    expected = [{"pointer": "#", "detail": "a JSON object is required"}]
    assert problem(response, 422, "invalid-request")["errors"] == expected


def test_faults_are_told_in_words_of_json(server: Server) -> None:
    body = {"session_events": {}, "exclude_item_ids": [[]], "colour": 1}
    assert problem(server.client.post(HERE, json=body), 422, "invalid-request")["errors"] == [
        {"pointer": "#/session_events", "detail": "a JSON array is required"},
        {"pointer": "#/exclude_item_ids/0", "detail": "Input should be a valid string"},
        {"pointer": "#/colour", "detail": "there is no such field"},
    ]
    events = server.post("no event", {"user_id": "anna"}).json()["events"]
    assert events[0]["problem"]["errors"] == [{"pointer": "#/events/0", "detail": "a JSON object is required"}]
    assert {fault["detail"] for fault in events[1]["problem"]["errors"]} == {"this field is required"}


@pytest.mark.parametrize("text", ['{"\\ud800": 1}', '{"user_id": "\\ud800"}'])
def test_text_that_is_no_unicode_is_refused(server: Server, text: str) -> None:
    response = server.client.post(HERE, content=text, headers={"content-type": "application/json"})
    assert len(pointers(response)) == 1


@pytest.mark.parametrize("size", [20_001, 5_000_000])
def test_a_body_that_is_too_large_is_a_problem_whether_announced_or_not(server: Server, size: int) -> None:
    content = b'{"user_id": "' + b"x" * (size - 15) + b'"}'
    kind = {"content-type": "application/json"}
    problem(server.client.post(HERE, content=content, headers=kind), 413, "body-too-large")
    parts = (content[start : start + 5000] for start in range(0, size, 5000))
    problem(server.client.post(HERE, content=parts, headers=kind), 413, "body-too-large")


def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    head = f"POST {HERE} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 20001\r\n\r\n"
    address = (server.client.base_url.host, server.client.base_url.port)
    with socket.create_connection(address, timeout=10.0) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_exactly_the_limit_is_read(server: Server) -> None:
    content = b"{}" + b" " * 19_998
    assert server.client.post(HERE, content=content, headers={"content-type": "application/json"}).status_code == 200


def test_the_trace_id_of_the_client_names_the_request_in_reply_and_log(server: Server) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    response = server.client.get("/livez", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert response.headers["x-request-id"] == trace
    named = until(lambda: [line for line in server.logged("request") if line["request_id"] == trace], server.log)
    assert [line["route"] for line in named] == ["/livez"]


def test_replies_on_one_connection_do_not_wait_for_the_client_s_acknowledgement(server: Server) -> None:
    """With Nagle's algorithm on, each of these takes 40 ms."""
    times = []
    with socket.create_connection((server.client.base_url.host, server.client.base_url.port)) as connection:
        for _ in range(31):
            connection.sendall(b"GET /livez HTTP/1.1\r\nhost: hearth\r\n\r\n")
            started = time.perf_counter()
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65536)
            times.append(time.perf_counter() - started)
    assert sorted(times)[15] < 0.03
