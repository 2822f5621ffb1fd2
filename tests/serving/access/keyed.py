"""API keys and placements in files, for servers of tests."""

import json
from pathlib import Path
from typing import Any

import httpx

from feature_store.durable import replace
from serving.access.keys import hash_of, new_secret
from tests.serving.running import Server


class KeyFile:
    """A file of keys, and the keys."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.secrets: dict[str, str] = {}
        self._tables: dict[str, Any] = {}

    def add(self, name: str, *scopes: str, **settings: Any) -> str:
        self.secrets[name] = new_secret()
        self._tables[name] = {"hash": hash_of(self.secrets[name]), "scopes": scopes, **settings}
        self._write()
        return self.secrets[name]

    def remove(self, name: str) -> None:
        del self._tables[name]
        self._write()

    def _write(self) -> None:
        replace(self.file, json.dumps(self._tables).encode())


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def recommend(server: Server, secret: str, placement: str = "home", **body: object) -> httpx.Response:
    address = f"/v1/placements/{placement}:recommend"
    return server.client.post(address, json=body, headers=bearer(secret))


def post_events(server: Server, secret: str, *events: object) -> httpx.Response:
    return server.client.post("/v1/events", json={"events": list(events)}, headers=bearer(secret))


def view(user_id: str, item_id: str) -> dict[str, str]:
    return {"event_id": f"{user_id}-{item_id}", "user_id": user_id, "item_id": item_id, "event": "view"}
