"""People of a cell, as its server meets them: what they did, and that they ask again and again."""

import asyncio
import ssl
import time
from typing import Any, NamedTuple

import httpx

_PEOPLE, _EACH, _BATCH = 40, 10, 100  # more than a hundred in three cells: as many as the gate wants to judge by
_PAUSE = 0.3  # seconds; two clients that ask more often would keep the processors from all else
# One, of which plain HTTP takes nothing: each of its own would cost twenty milliseconds of a processor.
_TLS = ssl.create_default_context()
_ASKED = "/v1/placements/home:recommend"


def _met(person: int) -> list[int]:
    """The rows of ten items: of twelve of the twenty that are tea, or of as many coffees, and never of the others."""
    return [person % 2 + 2 * ((person + 5 * step) % 12) for step in range(_EACH)]


class Asked(NamedTuple):
    """What became of requests.

    failed: how each went that was not answered with a list.
    again: how often a kept connection was closed just as a request went out, which went out again on another, as
        clients do (RFC 9110, 9.2.2).
    """

    answered: int
    failed: list[str]
    again: int
    slowest_seconds: float
    models: list[str]


class Server(NamedTuple):
    """A cell's server, as its people reach it: by its Service, with a key."""

    cell: str
    url: str
    key: str

    def client(self) -> httpx.AsyncClient:
        """A client with connections of its own."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False, verify=_TLS)

    async def fill(self) -> dict[str, int]:
        """Let forty people meet ten items each, half of them tea and half of them coffee. How often which status."""
        # Now: a retraining asks what is newer than the model in production.
        now, statuses = time.time(), dict[str, int]()
        events = [
            {
                "event_id": f"{person}-{place}",
                "user_id": f"{self.cell}-{person}",
                "item_id": f"item-{row:02d}",
                "event": "click",
                "timestamp": now + place / 1000,
            }
            for person in range(_PEOPLE)
            for place, row in enumerate(_met(person))
        ]
        async with self.client() as client:
            for start in range(0, len(events), _BATCH):
                answer = await client.post("/v1/events", json={"events": events[start : start + _BATCH]})
                for each in answer.raise_for_status().json()["events"]:
                    statuses[str(each["status"])] = statuses.get(str(each["status"]), 0) + 1
        return statuses

    async def recommend(self, person: int = 1) -> dict[str, Any]:
        """What one of them is answered."""
        async with self.client() as client:
            answer = await client.post(_ASKED, json={"user_id": f"{self.cell}-{person}", "k": 3})
        answered: dict[str, Any] = answer.raise_for_status().json()
        return answered

    async def keep_asking(self, stop: asyncio.Event, *, keeps: bool) -> Asked:
        """Ask for one after the other of them until `stop`; keeps: over a connection that is kept."""
        answered, failed, again, slowest, models = 0, list[str](), 0, 0.0, dict[str, None]()
        client = self.client()
        while not stop.is_set():
            began, asked = time.monotonic(), {"user_id": f"{self.cell}-{answered % _PEOPLE}", "k": 3}
            try:
                try:
                    answer = await client.post(_ASKED, json=asked)
                except httpx.RemoteProtocolError:
                    if not keeps:
                        raise
                    again += 1
                    answer = await client.post(_ASKED, json=asked)
            except httpx.HTTPError as error:
                failed.append(f"{type(error).__name__}: {error}")
            else:
                if answer.status_code == httpx.codes.OK and answer.json()["items"]:
                    answered += 1
                    models.setdefault(answer.json()["model_id"])
                else:
                    failed.append(f"status {answer.status_code}: {answer.text}")
            slowest = max(slowest, time.monotonic() - began)
            if not keeps:
                await client.aclose()
                client = self.client()
            await asyncio.sleep(_PAUSE)
        await client.aclose()
        return Asked(answered, failed, again, round(slowest, 2), list(models))
