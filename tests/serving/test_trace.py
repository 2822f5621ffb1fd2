"""The id of a request."""

import pytest

from serving.trace import request_id

TRACE, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


@pytest.mark.parametrize("value", [b"00-%s-%s-01", b"00-%s-%s-00", b"cc-%s-%s-01", b"cc-%s-%s-01-what-comes-later"])
def test_the_trace_id_of_a_valid_traceparent_is_taken(value: bytes) -> None:
    assert request_id([(b"traceparent", value % (TRACE, PARENT))]) == TRACE.decode()


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"00-%s-%s" % (TRACE, PARENT)],
        [b"ff-%s-%s-01" % (TRACE, PARENT)],
        [b"00-%s-%s-01-more" % (TRACE, PARENT)],
        [b"00-%s-%s-01" % (TRACE.upper(), PARENT)],
        [b"00-%s-%s-01" % (b"0" * 32, PARENT)],
        [b"00-%s-%s-01" % (TRACE, b"0" * 16)],
        [b"00-%s-%s-01" % (TRACE[:-1], PARENT)],
        [b"00-%s-%s-01\n" % (TRACE, PARENT)],
        [b"00-%s-%s-01" % (TRACE, PARENT)] * 2,
    ],
)
def test_without_one_valid_traceparent_a_new_id_is_made(values: list[bytes]) -> None:
    headers = [(b"traceparent", value) for value in values]
    made = {request_id(headers) for _ in range(3)}
    assert len(made) == 3
    assert TRACE.decode() not in made
    assert all(len(identifier) == 32 and int(identifier, 16) for identifier in made)
