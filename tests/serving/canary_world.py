"""A server with all that there is, to which canaries are sent, and all that it has written and answered."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from feature_store.encryption import own_keys
from feature_store.item_bundle import make_bundle
from feature_store.item_store_sqlite import open_sqlite_items
from feature_store.redis_settings import RedisSettings
from feature_store.social_graph import Tie
from feature_store.social_graph_redis import open_redis_graph
from feature_store.social_graph_sqlite import open_sqlite_graph
from tests.redis_server import RedisServer
from tests.serving.access.keyed import KeyFile
from tests.serving.canaries import Canaries
from tests.serving.canary_requests import LARGEST_BODY, SENT, Known, Sent, malformed
from tests.serving.published import Publisher, draft
from tests.serving.running import ROOT, Server, config_of
from tests.serving.test_ads_http import FILMS, ad
from tests.serving.trace_receiver import Receiver


class World:
    """A server, and all that it has written and answered."""

    def __init__(self, folder: Path, redis: RedisServer | None, receiver: Receiver) -> None:
        self.folder, self.redis, self.receiver = folder, redis, receiver
        self.kept, self.canaries = folder / "kept", Canaries()
        for name in ("given", "kept"):
            (folder / name).mkdir()
        publisher = Publisher(self.kept)
        self.before, self.model_id = (publisher.publish(draft(seed)) for seed in (1, 2))
        publisher.registry.promote(self.before, "shadow")
        bundles = folder / "given" / "bundles"
        bundles.mkdir()
        sealed = make_bundle(publisher.registry.load(self.model_id), {}, publisher.key)
        (bundles / f"{self.model_id}.bundle").write_bytes(sealed.to_bytes())
        keys = KeyFile(folder / "given" / "keys.json")
        every = ("recommend", "ingest", "admin", "metrics")
        self.secret = self.canaries.given("api-key", keys.add(self.canaries.word("key-name"), *every))
        self.other_key = self.canaries.given("other-key", keys.add("reader", "recommend"))
        self.config = config_of(publisher, api_keys=keys.file, bundles=bundles, **self._places())
        asyncio.run(self._fill())
        self.answers: list[tuple[str, httpx.Response]] = []  # with the name of the operation

    def _places(self) -> dict[str, Any]:
        placements = {
            "home": {"vertical": "films", "respects_graph": True, "sources": [{"kind": "personal"}, {"kind": "graph"}],
                     "sponsored": {"placement": "ads", "first": 2, "gap": 3}},
            "ads": {"vertical": "ads", "repeats": {"default": "show"}, "ads": {"currency": "EUR"}},
        }  # fmt: skip
        self.keys = self.folder / "given" / "store.keys"
        own_keys(self.keys)
        people: dict[str, Any] = {
            "store": self.kept / "people.sqlite",
            "social_graph": self.kept / "graph.sqlite",
            "ad_counters": self.kept / "ads.sqlite",
        }
        if self.redis is not None:
            people = {"redis": RedisSettings(url=self.redis.url, retries=0)}
        return {
            **people,
            "store_keys": self.keys,
            "items": self.kept / "items.sqlite",
            "placements": placements,
            "experiments": {"colours": {"placement": "home", "arms": {"red": {"share": 0.5}}}},
            "trial": {"share": 0.5, "compared": 1.0},
            "traces": {"url": self.receiver.url, "send_seconds": 0.05},
            "max_body_bytes": LARGEST_BODY,
        }

    async def _fill(self) -> None:
        """Ads that are capped and targeted, films, and a friend."""
        async with open_sqlite_items(self.kept / "items.sqlite") as items:
            await items.upsert([*FILMS])
            await items.upsert([ad("ads", f"item-{n}", "1", frequency_cap=5, frequency_hours=1.0) for n in range(3)])
        tie = Tie("friend", self.canaries.text("user"), self.canaries.text("friend"))
        keys = own_keys(self.keys)
        if self.redis is not None:
            async with open_redis_graph(RedisSettings(url=self.redis.url), keys) as graph:
                await graph.add([tie])
        else:
            async with open_sqlite_graph(self.kept / "graph.sqlite", keys, 1.0) as graph:
                await graph.add([tie])

    def run(self) -> None:
        """Start the server, send everything, and let it stop."""
        given = self.folder / "given" / "serving.json"
        given.write_text(self.config.model_dump_json())
        with (
            (self.folder / "stdout").open("wb") as stdout,
            (self.folder / "stderr").open("wb") as stderr,
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "serving", str(given)], cwd=ROOT, stdout=stdout, stderr=stderr
            ) as process,
        ):
            try:
                self.server = Server(process, self.folder / "stderr")
                with self.server.client:
                    self.server.serves(self.model_id)
                    self.send_all()
                    self.metrics = self.get("/metrics").content
                    self.while_it_ran = self.files()
                    if self.redis is not None:
                        self.redis.kill()
                        self.send_all(whole=False)  # what fails now is logged, too
                    assert self.server.stop() == 0
            finally:
                process.kill()

    def get(self, path: str) -> httpx.Response:
        return self.server.client.get(path, headers={"authorization": f"Bearer {self.secret}"})

    def send_all(self, *, whole: bool = True) -> None:
        """Everything; or else what a server takes when all is well, and nothing malformed."""
        known = Known(self.canaries, self.model_id, self.before, self.answers)
        document = self.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, said in operations.items():
                assert said["operationId"] in SENT, f"no canary is sent to {said['operationId']}: let SENT say one"
                broken = malformed(said, document, self.canaries) if whole else ()
                for sent in (*SENT[said["operationId"]](known), *broken):
                    self._send(said["operationId"], method.upper(), path, said, sent)
        for method, path in (("DELETE", "/v1/events"), ("GET", f"/{self.canaries.word('unknown-path')}")):
            headers = {"authorization": f"Bearer {self.secret}"}
            query = {self.canaries.word("query-name"): self.canaries.text("query")}
            self.answers.append(("none", self.server.client.request(method, path, params=query, headers=headers)))
        self._send_no_http()

    def _send(self, name: str, method: str, path: str, said: Mapping[str, Any], sent: Sent) -> None:
        known = {one["name"]: one["in"] for one in said.get("parameters", ())}
        address, query = path, {}
        for parameter, value in sent.parameters.items():
            if known.get(parameter) == "path":
                address = address.replace(f"{{{parameter}}}", httpx.URL("", path=str(value)).raw_path.decode())
            else:
                query[parameter] = value
        content = json.dumps(sent.body).encode() if sent.content is None and sent.body is not None else sent.content
        headers = {"authorization": f"Bearer {self.secret}"}
        if content is not None:
            headers["content-type"] = "application/json"
        request = self.server.client.build_request(
            method, address, params=query, content=content, headers={**headers, **sent.headers}
        )
        self.answers.append((name, self.server.client.send(request)))

    def _send_no_http(self) -> None:
        url = self.server.client.base_url
        word = self.canaries.word("no-http")
        for line in (f"GET /{word}", f"{word} / HTTP/1.1\r\nx-note {word}", f"GET /{word} HTTP/9.9"):
            with socket.create_connection((url.host, url.port or 80)) as connection, connection.makefile("rb") as got:
                connection.sendall(f"{line}\r\n\r\n".encode())
                self.answers.append(("none", httpx.Response(400, content=got.read())))

    def files(self) -> list[tuple[str, bytes]]:
        """What is kept, each file with the place that it belongs to."""
        found = [(path, f"kept: {path.relative_to(self.kept).parts[0].split('.')[0]}") for path in self.kept.rglob("*")]
        if self.redis is not None:
            with self.redis.client() as redis:
                redis.save()
            found += [(path, "kept: redis") for path in self.redis.folder.rglob("*")]
        return [(place, path.read_bytes()) for path, place in found if path.is_file()]

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that came out, with its place; of replies that are no errors, the heads."""
        yield "stdout", (self.folder / "stdout").read_bytes()
        yield "stderr", (self.folder / "stderr").read_bytes()
        yield "metrics", self.metrics
        yield "traces", self.receiver.raw
        yield (
            "headers",
            b"\n".join({name + b": " + value for _, one in self.answers for name, value in one.headers.raw}),
        )
        yield "problem", b"\n".join({one.content for _, one in self.answers if one.status_code >= 400})
        yield from self.while_it_ran
        if self.redis is None:
            yield from self.files()  # once more: what was in memory has been written by now
