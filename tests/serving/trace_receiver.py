"""A receiver of traces: an HTTP server of this test that reads what OpenTelemetry's exporter sends it (OTLP/HTTP)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.serving.running import until

SENDER, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""A trace, and the span in it below which a request is made."""


class Receiver:
    """What has been received.

    port: where it listens, on the loopback address.
    answers: while it is not set, requests are taken and left without a reply.
    seconds: that it takes to answer.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers = threading.Event()
        self.answers.set()
        self.seconds = 0.0
        self.taken: list[tuple[str, bytes]] = []  # path and body

    @property
    def raw(self) -> bytes:
        """All bodies, as they came."""
        return b"".join(body for _, body in self.taken)

    def messages(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for _, body in list(self.taken)]

    def spans(self) -> list[Span]:
        """All spans, in the order of their ends."""
        scopes = [
            scope for sent in self.messages() for resource in sent.resource_spans for scope in resource.scope_spans
        ]
        return [span for scope in scopes for span in scope.spans]

    def trace(self, trace_id: str) -> tuple[Span, list[Span]]:
        """The span of that request, as soon as it has come, and those below it: they end first, so they are there."""

        def found() -> list[Span]:
            mine = [span for span in self.spans() if span.trace_id.hex() == trace_id]
            return mine if any(span.kind == Span.SPAN_KIND_SERVER for span in mine) else []

        mine = until(found, lambda: f"no trace {trace_id} among {len(self.spans())} spans")
        [whole] = [span for span in mine if span.kind == Span.SPAN_KIND_SERVER]
        return whole, [span for span in mine if span is not whole]


def traceparent(trace_id: str, *, recorded: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{PARENT}-0{int(recorded)}"}


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in span.attributes}


def _value(value: AnyValue) -> Any:
    if value.HasField("array_value"):
        return [_value(one) for one in value.array_value.values]
    return getattr(value, str(value.WhichOneof("value")))


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for the length of the block."""

    class Taking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.answers.wait()
            time.sleep(receiver.seconds)
            receiver.taken.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        server.daemon_threads = True  # a connection that is kept open holds nothing up
        receiver = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.answers.set()
            server.shutdown()
            thread.join()
