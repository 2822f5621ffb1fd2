"""A server with one model in production and another on trial."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feature_store.checkpoint import CheckpointDraft
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started, until

PEOPLE = [f"person-{number}" for number in range(40)]


@contextmanager
def on_trial(
    publisher: Publisher,
    folder: Path,
    trial: Mapping[str, Any],
    content: CheckpointDraft | None = None,
    **config: Any,
) -> Iterator[tuple[Server, str, str]]:
    """The server with both models loaded, the id of the one in production, `draft(1)`, and that of the one on trial.

    trial: what the configuration says of it.
    content: of the checkpoint on trial; None for `draft(2)`.
    """
    first = publisher.publish(draft(1))
    second = publisher.publish(draft(2) if content is None else content, promote=False)
    publisher.registry.promote(second, "shadow")
    with started(config_of(publisher, trial=trial, **config), folder) as server:
        server.serves(first)
        loaded(server, second)
        yield server, first, second


def loaded(server: Server, model_id: str, stage: str = "shadow") -> None:
    """Return when the server has that model in that stage."""
    sample = f'hearth_model_info{{model_id="{model_id}",stage="{stage}"}}'
    until(lambda: server.metric(sample) == 1, server.log)
