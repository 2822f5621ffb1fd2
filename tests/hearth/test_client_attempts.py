"""When a client asks again: after the time that a server names, a few times, and never twice what must be done once."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import HearthError
from hearth.client import Problem, Unreachable, requests
from hearth.client.attempts import LONGEST_WAIT, Outcome, Wait, patiently
from tests.hearth.client_kinds import HALF, VERSION, Connect, Scripted, connect, later, reply

__all__ = ["connect"]  # the fixture


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_says_when_is_not_asked_before(connect: Connect, status: int) -> None:
    with Scripted([later("1", status), VERSION]) as server, connect(server.address) as hearth:
        assert hearth.version().hearth == "1"
    assert len(server.at) == 2
    assert 1.0 <= server.at[1] - server.at[0] < 3.0


def test_a_server_that_names_a_date_is_not_asked_before(connect: Connect) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)  # of whole seconds
    with Scripted([later(then), VERSION]) as server, connect(server.address) as hearth:
        assert hearth.version().hearth == "1"
    assert 0.9 < server.at[1] - server.at[0] < 4.0


def test_what_would_take_too_long_is_said_at_once_with_the_time(connect: Connect) -> None:
    began = time.monotonic()
    with Scripted([later("3600", 429)]) as server, connect(server.address) as hearth:
        with pytest.raises(Problem, match="429 /problems/overloaded") as told:
            hearth.version()
        assert told.value.retry_after == 3600.0
    assert len(server.at) == 1
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize("said", [None, "", "soon", "-5", "nan", "1e3", "٣"])
def test_what_is_no_time_is_as_if_nothing_were_said(connect: Connect, said: str | None) -> None:
    encoded = later(said if said is None or said.isascii() else said.encode().decode("latin-1"))
    with Scripted([encoded, encoded, VERSION]) as server, connect(server.address) as hearth:
        assert hearth.version().hearth == "1"
    assert len(server.at) == 3
    assert server.at[2] - server.at[0] < 2.0


def test_a_server_that_says_later_for_ever_is_asked_so_often_and_no_more(connect: Connect) -> None:
    with Scripted([later("0")]) as server, connect(server.address, retries=2) as hearth:
        with pytest.raises(Problem, match="503 /problems/overloaded"):
            hearth.version()
        assert len(server.at) == 3


def test_a_connection_that_breaks_in_the_middle_of_a_reply_is_made_anew(connect: Connect) -> None:
    with Scripted([HALF, b"", VERSION]) as server, connect(server.address) as hearth:
        assert hearth.version().hearth == "1"
    assert len(server.at) == 3


def test_one_that_always_breaks_is_told_without_what_was_asked(connect: Connect) -> None:
    with Scripted([HALF]) as server, connect(server.address, retries=1) as hearth:
        with pytest.raises(Unreachable, match="did not answer: RemoteProtocolError") as told:
            hearth.erasure("canary-receipt")
        assert "canary" not in str(told.value)
        assert len(server.at) == 2


def test_what_must_not_be_done_twice_is_not_sent_again_once_it_may_have_been_done(connect: Connect) -> None:
    with Scripted([HALF]) as server, connect(server.address) as hearth:
        with pytest.raises(Unreachable):
            hearth.roll_back("r0002-b")
        assert server.requests == ["POST /v1/models/r0002-b:roll-back HTTP/1.1"]
    moved = reply(200, b'{"production": "r0001-a", "shadow": null, "previous": []}')
    with Scripted([later("0"), moved]) as server, connect(server.address) as hearth:  # refused, so that it was not done
        assert hearth.roll_back("r0002-b").production == "r0001-a"
    refused = httpx.ConnectError("refused", request=httpx.Request("POST", "http://cell/"))
    steps = patiently(requests.change_stage("roll-back", "r0002-b", ""), 1)
    assert next(steps).path == "/v1/models/r0002-b:roll-back"  # type: ignore[union-attr] # a call comes first
    assert isinstance(steps.send(refused), Wait)


@pytest.mark.parametrize(
    "answer",
    [
        reply(502, b"<html>bad gateway"),
        reply(504, b""),
        reply(200, b"<html>hello"),
        reply(500, b"oops"),
        reply(200, b"no gzip", content_encoding="gzip"),
    ],
)
def test_what_does_not_speak_as_hearth_does_is_named_and_no_password_is(connect: Connect, answer: bytes) -> None:
    with Scripted([answer]) as server:
        address = server.address.replace("//", "//anna:secret-word@")
        with connect(address, retries=0) as hearth, pytest.raises(Unreachable, match=server.address) as told:
            hearth.version()
        assert "secret-word" not in str(told.value)


def test_a_gateway_that_has_lost_its_server_is_asked_again(connect: Connect) -> None:
    with Scripted([reply(502, b"<html>bad gateway"), VERSION]) as server, connect(server.address) as hearth:
        assert hearth.version().hearth == "1"


_REQUEST = httpx.Request("GET", "http://cell/version")
_OUTCOMES = st.one_of(
    st.sampled_from([httpx.ReadTimeout, httpx.ConnectError, httpx.RemoteProtocolError]).map(
        lambda kind: kind("broken", request=_REQUEST)
    ),
    st.builds(
        lambda status, after: httpx.Response(status, headers={"retry-after": after}, content=b"{}", request=_REQUEST),
        st.sampled_from([429, 502, 503, 504]),
        st.one_of(st.integers(0, 10).map(str), st.sampled_from(["", "soon", "9" * 5000])),
    ),
)


@given(retries=st.integers(0, 5), outcomes=st.lists(_OUTCOMES, min_size=6, max_size=6))
def test_however_a_server_fails_attempts_are_counted_and_no_wait_is_short_or_endless(
    retries: int, outcomes: list[Outcome]
) -> None:
    calls: list[Outcome] = []

    def carry_out() -> None:
        steps = patiently(requests.version(), retries)
        step = next(steps)
        while True:
            if isinstance(step, Wait):
                failed = calls[-1]
                named = failed.headers["retry-after"] if isinstance(failed, httpx.Response) else ""
                assert float(named if named.isdigit() else 0.0) <= step.seconds <= LONGEST_WAIT + 0.1
                step = steps.send(None)
            else:
                calls.append(outcomes[len(calls)])
                step = steps.send(calls[-1])

    with pytest.raises(HearthError):
        carry_out()
    assert len(calls) <= retries + 1
