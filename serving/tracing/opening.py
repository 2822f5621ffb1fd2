"""Opening: the export of traces for as long as a server runs, where one is configured."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from feature_store.errors import BadInput
from serving.tracing.settings import TraceSettings

if TYPE_CHECKING:
    from serving.tracing.exporting import Export


@contextmanager
def exporting(settings: TraceSettings | None, registry: CollectorRegistry) -> "Iterator[Export | None]":
    """The export; None where there are no settings, and then no exporter is loaded.

    registry: of the metrics that count what became of spans.

    Raises:
        BadInput: traces are configured, and the extra `tracing` is not installed.
    """
    if settings is None:
        yield None
        return
    try:
        from serving.tracing.exporting import Export  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise BadInput(
            f"traces are to go to {settings.url}, and {error.name} is not installed: "
            "install hearth-recommender with its extra, hearth-recommender[tracing]"
        ) from error
    export = Export(settings, registry)
    try:
        yield export
    finally:
        export.give_up()
