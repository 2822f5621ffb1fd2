"""A server that is told to stop while many ask."""

import asyncio
import signal
import threading
import time
from pathlib import Path

from tests.serving.access.crowd import crowd
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, config_of, running


def test_told_to_stop_under_load_a_server_answers_every_request_that_was_sent(
    publisher: Publisher, tmp_path: Path
) -> None:
    model_id = publisher.publish(draft(1))
    with running(config_of(publisher, store=tmp_path / "store.sqlite"), tmp_path) as server:
        server.serves(model_id)
        address = (server.client.base_url.host, server.client.base_url.port or 0)
        told = threading.Timer(0.7, lambda: server.process.send_signal(signal.SIGTERM))
        told.start()
        end = time.monotonic() + PATIENCE
        found = asyncio.run(crowd(address, 12, lambda: time.monotonic() < end))
        told.join()
        assert server.process.wait(PATIENCE) == 0
    assert found.unanswered == []
    assert {reply.status for reply in found.replies} == {200}
    assert len(found.replies) > 24
    assert time.monotonic() < end  # they went home because nobody listened any more
