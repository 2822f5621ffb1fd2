"""The blocking client."""

import time
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


class Client:
    """A blocking client. Close it, or use it in a with block.

    Args:
        address: of the server, such as http://127.0.0.1:8080.
        api_key: where the server asks for one.
        timeout: seconds for one attempt to connect, and then for each wait for bytes.
        retries: attempts after the first.
        trust_env: whether proxies that the environment names are used.
        transport: in place of the network.

    Raises, in each method:
        Problem: the server says what was wrong.
        Unreachable: nobody answered, or not as Hearth does.
        BadInput: what is asked for cannot be asked; nothing was sent.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 10.0,
        retries: int = RETRIES,
        trust_env: bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        base, headers = settings_of(address, api_key)
        self._http = httpx.Client(
            base_url=base, headers=headers, timeout=timeout, trust_env=trust_env, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def recommend(self, placement: str, **asked: Unpack[Asked]) -> RecommendReply:
        """One ranked list."""
        return self._run(requests.recommend(placement, asked))

    def batch_recommend(self, placement: str, asked: Sequence[Asked]) -> BatchReply:
        """Several lists of one placement; each request has an outcome of its own."""
        return self._run(requests.batch_recommend(placement, asked))

    def send(self, events: Sequence[Mapping[str, Any]]) -> EventsReply:
        """Tell what people did, in as many requests as it takes; each event has an outcome of its own."""
        return self._run(requests.send(events))

    def put_item(self, vertical: str, item_id: str, fields: Mapping[str, Any] | StoredItem) -> Item:
        """Put one item, new or in place of the one of that id."""
        return self._run(requests.put_item(vertical, item_id, fields))

    def get_item(self, vertical: str, item_id: str) -> Item:
        """One item, as the catalogue has it."""
        return self._run(requests.get_item(vertical, item_id))

    def delete_item(self, vertical: str, item_id: str) -> bool:
        """Take one item out; False where there was none, or an attempt whose reply was lost has taken it out."""
        return self._run(requests.delete_item(vertical, item_id))

    def import_items(self, vertical: str, items: Sequence[Mapping[str, Any] | StoredItem]) -> ImportReply:
        """Put many items, in as many requests as it takes; each has an outcome of its own."""
        return self._run(requests.import_items(vertical, items))

    def list_items(self, vertical: str, cursor: str | None = None, limit: int = 100) -> ItemsPage:
        """A page of a catalogue, what changed longest ago first; `next_cursor` is the cursor of the next."""
        return self._run(requests.list_items(vertical, cursor, limit))

    def export(self, user_id: str) -> PersonExport:
        """All that is held of a person."""
        return self._run(requests.export(user_id))

    def erase(self, user_id: str) -> Erasure:
        """Remove all that is held of a person. After a lost reply, the receipt may say that nothing was there."""
        return self._run(requests.erase(user_id))

    def erasure(self, erasure_id: str) -> Erasure:
        """The receipt of an erasure, as far as it has come."""
        return self._run(requests.erasure(erasure_id))

    def models(self) -> ModelsReply:
        """The checkpoints of the registry and their stages."""
        return self._run(requests.models())

    def model_ready(self, model_id: str) -> ModelReady:
        """Whether the server that answers has that checkpoint in memory."""
        return self._run(requests.model_ready(model_id))

    def promote(self, model_id: str, reason: str = "") -> StagesReply:
        """Put a checkpoint into production."""
        return self._run(requests.change_stage("promote", model_id, reason))

    def shadow(self, model_id: str, reason: str = "") -> StagesReply:
        """Put a checkpoint on trial."""
        return self._run(requests.change_stage("shadow", model_id, reason))

    def roll_back(self, model_id: str, reason: str = "") -> StagesReply:
        """Put back what was in production before that one. Where the reply is lost it is not sent again."""
        return self._run(requests.change_stage("roll-back", model_id, reason))

    def bundle(self, checkpoint_id: str = "current", have: Bundle | None = None) -> Bundle:
        """The item bundle of a checkpoint, or what changed since `have`; `have` itself where nothing did."""
        return self._run(requests.bundle(checkpoint_id, have))

    def version(self) -> Version:
        """What runs there."""
        return self._run(requests.version())

    def ready(self) -> Readiness:
        """What a server that answers recommendations has looked at. One that does not is a `Problem`, at once."""
        return self._run(requests.ready())

    def _run(self, exchange: Exchange[Given]) -> Given:
        steps = patiently(exchange, self._retries)
        try:
            step = next(steps)
            while True:
                step = steps.send(self._done(step))
        except StopIteration as ended:
            given: Given = ended.value
            return given

    def _done(self, step: Call | Wait) -> Outcome:
        if isinstance(step, Wait):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.request(
                step.method, step.path, content=step.content, params=step.query, headers=step.headers
            )
        except httpx.RequestError as error:
            return error
