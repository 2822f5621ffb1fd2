"""A side task outlives what nobody foresaw, and waits longer each time."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from serving.outliving import outliving
from tests.serving.published import Publisher, draft
from tests.serving.running import config_of, started


class Ailing:
    """A task that fails the first few times, and notes when it began."""

    def __init__(self, failures: int) -> None:
        self.begun: list[float] = []
        self.goes_well = asyncio.Event()
        self._failures = failures

    async def run(self) -> NoReturn:
        self.begun.append(time.monotonic())
        if len(self.begun) <= self._failures:
            raise ZeroDivisionError("canary")
        self.goes_well.set()
        while True:
            await asyncio.Event().wait()


@pytest.mark.anyio
async def test_a_task_that_fails_begins_anew_after_waits_that_double_and_the_log_says_where_not_what(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ailing = Ailing(3)
    async with asyncio.timeout(20.0):
        outlived = asyncio.create_task(outliving("ailing", ailing.run, 0.02))
        await ailing.goes_well.wait()
        assert not outlived.done()
        outlived.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outlived
    waits = [after - before for before, after in zip(ailing.begun, ailing.begun[1:], strict=False)]
    assert all(wait > least for wait, least in zip(waits, (0.02, 0.04, 0.08), strict=True))
    assert [record.__dict__["fields"] for record in caplog.records] == [
        {"task": "ailing", "again_in_seconds": seconds} for seconds in (0.02, 0.04, 0.08)
    ]
    assert all(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
    assert "canary" not in " ".join(record.getMessage() for record in caplog.records)


@pytest.mark.anyio
async def test_to_cancel_it_while_the_task_runs_ends_both() -> None:
    ailing = Ailing(0)
    outlived = asyncio.create_task(outliving("ailing", ailing.run, 0.01))
    await ailing.goes_well.wait()
    outlived.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outlived
    assert len(ailing.begun) == 1


def test_a_row_of_a_catalogue_that_no_hearth_wrote_does_not_end_the_server(
    publisher: Publisher, tmp_path: Path
) -> None:
    films = {"vertical": "films"}
    items = tmp_path / "items.sqlite"
    model_id = publisher.publish(draft(1))
    config = config_of(publisher, items=items, placements={"home": films}, catalogue_seconds=0.05)
    with started(config, tmp_path) as server:
        server.serves(model_id)
        server.client.put("/v1/items/item-1", params=films, json={"title": "Heat"}).raise_for_status()
        with closing(sqlite3.connect(items, isolation_level=None)) as other:
            other.execute("UPDATE items SET content = 7")
        server.client.put("/v1/items/item-2", params=films, json={"title": "Ran"}).raise_for_status()
        with closing(sqlite3.connect(items, isolation_level=None)) as other:  # the follower reads what has changed
            other.execute("UPDATE items SET content = 7")
            other.execute("UPDATE items SET version = version + 10")
            other.execute("UPDATE verticals SET version = version + 10")
        time.sleep(0.5)
        assert server.client.get("/livez").status_code == 200
