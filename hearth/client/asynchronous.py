"""The client for programs with an event loop."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from feature_store.item_schemas import StoredItem
from hearth.client import requests
from hearth.client.attempts import RETRIES, Call, Exchange, Outcome, Wait, patiently
from hearth.client.bundle import Bundle
from hearth.client.connecting import settings_of
from hearth.client.requests import Asked
from serving.replies import Erasure, Item, ItemsPage, ModelReady, ModelsReply, PersonExport, Readiness, StagesReply
from serving.schemas import BatchReply, EventsReply, ImportReply, RecommendReply, Version

Given = TypeVar("Given")


class AsyncClient:
    """As `Client`, for programs with an event loop."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = RETRIES,
        trust_env: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        base, headers = settings_of(address, api_key)
        self._http = httpx.AsyncClient(
            base_url=base, headers=headers, timeout=timeout, trust_env=trust_env, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def recommend(self, placement: str, **asked: Unpack[Asked]) -> RecommendReply:
        """See `Client.recommend`."""
        return await self._run(requests.recommend(placement, asked))

    async def batch_recommend(self, placement: str, asked: Sequence[Asked]) -> BatchReply:
        """See `Client.batch_recommend`."""
        return await self._run(requests.batch_recommend(placement, asked))

    async def send(self, events: Sequence[Mapping[str, Any]]) -> EventsReply:
        """See `Client.send`."""
        return await self._run(requests.send(events))

    async def put_item(self, vertical: str, item_id: str, fields: Mapping[str, Any] | StoredItem) -> Item:
        """See `Client.put_item`."""
        return await self._run(requests.put_item(vertical, item_id, fields))

    async def get_item(self, vertical: str, item_id: str) -> Item:
        """See `Client.get_item`."""
        return await self._run(requests.get_item(vertical, item_id))

    async def delete_item(self, vertical: str, item_id: str) -> bool:
        """See `Client.delete_item`."""
        return await self._run(requests.delete_item(vertical, item_id))

    async def import_items(self, vertical: str, items: Sequence[Mapping[str, Any] | StoredItem]) -> ImportReply:
        """See `Client.import_items`."""
        return await self._run(requests.import_items(vertical, items))

    async def list_items(self, vertical: str, cursor: str | None = None, limit: int = 100) -> ItemsPage:
        """See `Client.list_items`."""
        return await self._run(requests.list_items(vertical, cursor, limit))

    async def export(self, user_id: str) -> PersonExport:
        """See `Client.export`."""
        return await self._run(requests.export(user_id))

    async def erase(self, user_id: str) -> Erasure:
        """See `Client.erase`."""
        return await self._run(requests.erase(user_id))

    async def erasure(self, erasure_id: str) -> Erasure:
        """See `Client.erasure`."""
        return await self._run(requests.erasure(erasure_id))

    async def models(self) -> ModelsReply:
        """See `Client.models`."""
        return await self._run(requests.models())

    async def model_ready(self, model_id: str) -> ModelReady:
        """See `Client.model_ready`."""
        return await self._run(requests.model_ready(model_id))

    async def promote(self, model_id: str, reason: str = "") -> StagesReply:
        """See `Client.promote`."""
        return await self._run(requests.change_stage("promote", model_id, reason))

    async def shadow(self, model_id: str, reason: str = "") -> StagesReply:
        """See `Client.shadow`."""
        return await self._run(requests.change_stage("shadow", model_id, reason))

    async def roll_back(self, model_id: str, reason: str = "") -> StagesReply:
        """See `Client.roll_back`."""
        return await self._run(requests.change_stage("roll-back", model_id, reason))

    async def bundle(self, checkpoint_id: str = "current", have: Bundle | None = None) -> Bundle:
        """See `Client.bundle`."""
        return await self._run(requests.bundle(checkpoint_id, have))

    async def version(self) -> Version:
        """See `Client.version`."""
        return await self._run(requests.version())

    async def ready(self) -> Readiness:
        """See `Client.ready`."""
        return await self._run(requests.ready())

    async def _run(self, exchange: Exchange[Given]) -> Given:
        steps = patiently(exchange, self._retries)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._done(step))
        except StopIteration as ended:
            given: Given = ended.value
            return given

    async def _done(self, step: Call | Wait) -> Outcome:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.request(
                step.method, step.path, content=step.content, params=step.query, headers=step.headers
            )
        except httpx.RequestError as error:
            return error
