"""A social graph that is opened when it can be: a server starts, and answers, while the graph is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TypeAlias

from feature_store.errors import StoreUnavailable
from feature_store.social_graph import SocialGraph

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[SocialGraph]]


class LateGraph:
    """The graph, once it could be opened; `opened_late` makes it and closes what was opened."""

    def __init__(self, opening: Opening, opened: AsyncExitStack) -> None:
        self._opening, self._opened = opening, opened
        self._graph: SocialGraph | None = None
        self._lock = asyncio.Lock()

    async def graph(self) -> SocialGraph:
        """The graph, opened now where it is not yet; raises as the opening does."""
        if self._graph is None:
            async with self._lock:
                if self._graph is None:
                    self._graph = await self._opened.enter_async_context(self._opening())
        return self._graph


@asynccontextmanager
async def opened_late(opening: Opening) -> AsyncIterator[LateGraph]:
    """That graph for the length of the block. One that is away now is opened by who asks for it later.

    Raises:
        StoreError: it is there and cannot be opened, because its keys are others, for one.
    """
    async with AsyncExitStack() as opened:
        late = LateGraph(opening, opened)
        with suppress(StoreUnavailable):
            await late.graph()
        yield late
