"""The export of spans to an OTLP/HTTP receiver, from a thread of its own. It loads OpenTelemetry's SDK.

    a span ends → is there room? → the SDK's queue → its thread, in batches → the receiver
                        └─ no: dropped                      └─ not taken in time: failed

A request waits for none of it. `hearth_trace_spans_total` counts what became of spans.
"""

import asyncio
import importlib.metadata
import logging
import threading
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from prometheus_client import CollectorRegistry, Counter

from serving.tracing.settings import TraceSettings

_LOG = logging.getLogger("serving.traces")
# Its thread shares the interpreter with the one that answers, and making a message of a batch holds it for a while.
_LARGEST_BATCH = 64
_NAME = "hearth-serving"  # where OTEL_SERVICE_NAME says nothing else


class Export:
    """The way of spans out of the process.

    tracer: makes spans that are sent.
    registry: where what became of spans is counted.
    """

    def __init__(self, settings: TraceSettings, registry: CollectorRegistry) -> None:
        spans = Counter(
            "hearth_trace_spans", "Spans of traces, by what became of them", ("outcome",), registry=registry
        )
        for outcome in ("sent", "failed", "dropped"):
            spans.labels(outcome)  # an alert on the first needs the 0 before it
        # Of every batch that fails it would say so, and quote the exception; we say it when it begins and ends.
        logging.getLogger(OTLPSpanExporter.__module__).setLevel(logging.CRITICAL)
        self._sending = _Sending(OTLPSpanExporter(settings.url), settings.url, spans)
        self._queue = _Queue(self._sending, settings, spans)
        version = importlib.metadata.version("hearth-recommender")
        ours = Resource.create({SERVICE_NAME: _NAME, SERVICE_VERSION: version})
        provider = TracerProvider(
            ParentBasedTraceIdRatio(settings.share),
            ours.merge(OTELResourceDetector().detect()),  # what the operator says goes before what we say
            shutdown_on_exit=False,  # it would wait for the receiver; see `close`
        )
        provider.add_span_processor(self._queue)
        self.tracer = provider.get_tracer("hearth", version)

    async def close(self, seconds: float) -> None:
        """Send what waits, for so long at most; what is left after that is lost, and the log says how much."""
        ending = threading.Thread(target=self._queue.shutdown, name="traces-ending", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, max(0.0, seconds))
        lost = self._queue.waiting + self._sending.under_way
        self.give_up()
        if lost:
            _LOG.warning("traces lost", extra={"fields": {"spans": lost}})

    def give_up(self) -> None:
        """Send no more. What is being sent just now goes on in its thread, which keeps no process alive."""
        self._queue.is_open = False
        self._sending.shutdown()


class _Sending(SpanExporter):
    """The receiver, with what it took and what not. Called by one thread, but for `shutdown`."""

    def __init__(self, receiver: OTLPSpanExporter, url: str, spans: Counter) -> None:
        self.taken = 0  # spans that came out of the queue, ever
        self.under_way = 0  # spans that are being sent just now
        self._receiver, self._url, self._spans = receiver, url, spans
        self._is_open, self._fails = True, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        if not self._is_open:
            self._spans.labels("dropped").inc(len(spans))
            return SpanExportResult.FAILURE
        self.under_way = len(spans)
        result = self._receiver.export(spans)
        self.under_way = 0
        fails = result is not SpanExportResult.SUCCESS
        self._spans.labels("failed" if fails else "sent").inc(len(spans))
        if fails != self._fails:
            self._fails = fails
            level, message = (logging.WARNING, "traces not taken") if fails else (logging.INFO, "traces taken again")
            _LOG.log(level, message, extra={"fields": {"by": self._url}})
        return result

    def shutdown(self) -> None:
        if self._is_open:
            self._is_open = False
            # Ends its wait for another attempt.
            self._receiver.shutdown()  # type: ignore[no-untyped-call] # the SDK gives it no types


class _Queue(SpanProcessor):
    """The SDK's queue and thread, with a bound of ours: the SDK's drops an older span, and only logs it.

    Spans end on one thread, and come out of the queue on another; each counts for itself.
    """

    def __init__(self, sending: _Sending, settings: TraceSettings, spans: Counter) -> None:
        self.is_open = True
        self._put = 0
        self._most, self._sending, self._spans = settings.most_waiting, sending, spans
        self._batches = BatchSpanProcessor(
            sending,
            max_queue_size=settings.most_waiting,
            schedule_delay_millis=1e3 * settings.send_seconds,
            max_export_batch_size=min(_LARGEST_BATCH, settings.most_waiting),
        )

    @property
    def waiting(self) -> int:
        """How many spans wait to be sent."""
        return self._put - self._sending.taken

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    def on_end(self, span: ReadableSpan) -> None:
        if not self.is_open or self.waiting >= self._most:
            self._spans.labels("dropped").inc()
            return
        self._put += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what waits, for as long as it takes; whoever has less time calls it in a thread."""
        self.is_open = False
        self._batches.shutdown()  # type: ignore[no-untyped-call] # as above
