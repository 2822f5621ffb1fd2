"""A server within somebody else's event loop, as the demonstration runs it."""

import asyncio

import httpx
import pytest

from serving.server import serve
from tests.serving.published import Publisher
from tests.serving.running import config_of


@pytest.mark.anyio
async def test_a_server_says_its_address_answers_there_and_is_gone_once_cancelled(publisher: Publisher) -> None:
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(config_of(publisher), address.set_result))
    async with httpx.AsyncClient(base_url=await address) as client:
        assert (await client.get("/livez")).status_code == 200
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(httpx.ConnectError):
            await client.get("/livez")
