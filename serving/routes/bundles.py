"""`GET /v1/item-bundles/{checkpoint_id}`: what a device needs to rank by itself, signed, whole or as changes.

The files stand in a folder, where `hearth models bundle` puts them: `<id>.bundle`, and `<from>..<id>.delta` for the
changes from an earlier one. A server does not sign and does not read them: a device verifies what it gets. Nothing of
the device is in the request but which bundle it has.
"""

import asyncio
import hashlib
import re
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from serving.errors import NoBundle, NoModel
from serving.openapi import BYTES, instead, of_header
from serving.routes.parts import Parts

_CHECKPOINT = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")  # as `feature_store.manifest.CheckpointId`
_CURRENT = "current"
_A_TAG = '"0f343b0931126a20f133d67c2b018a3b"'
_HEADERS = {
    "etag": "of this file",
    "x-checkpoint-id": "whose bundle it is, or whose it becomes with these changes",
    "x-bundle-kind": "whole or changes",
}
_DESCRIBED = {"headers": {name: {"schema": {"type": "string"}, "description": of} for name, of in _HEADERS.items()}}
_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": BYTES}, **_DESCRIBED},
    206: {
        "description": "What Range asked for",
        "content": {"application/octet-stream": BYTES, "multipart/byteranges": BYTES},
        **_DESCRIBED,
    },
    304: {"description": "The device has it", **_DESCRIBED},
    416: {"description": "- `/problems/range-not-satisfiable`: The file has nothing of what Range asks for."},
}


def add_bundles(app: FastAPI, parts: Parts) -> None:
    """`GET /v1/item-bundles/{checkpoint_id}`; `current` is that of the model which answers."""

    @app.get(
        "/v1/item-bundles/{checkpoint_id}",
        operation_id="get_item_bundle",
        response_class=FileResponse,
        responses={**_REPLIES, **instead(NoBundle, NoModel)},
        summary="A signed item bundle, whole, or as changes where these are at hand; with ETag and Range",
        openapi_extra={
            "parameters": [
                of_header("range", "which bytes of it (RFC 9110)", "bytes=0-99"),
                of_header("if-range", "the ETag of the rest; of another one, all is sent", _A_TAG),
            ]
        },
    )
    async def get_bundle(
        checkpoint_id: Annotated[str, Path(description="the id of a checkpoint, or `current`: the one that answers")],
        since: Annotated[str | None, Query(max_length=80, description="the bundle that the device has")] = None,
        if_none_match: Annotated[str | None, Header(description="the ETag of what the device has")] = None,
    ) -> Response:
        """What a device needs to rank by itself. It verifies the signature; a server does not read the file."""
        if parts.config.bundles is None:
            raise NoBundle("this server has no bundles: no folder is configured")
        wanted = parts.live.current().model_id if checkpoint_id == _CURRENT else checkpoint_id
        found = await asyncio.to_thread(_found, parts.config.bundles, wanted, since)
        tag = f'"{await asyncio.to_thread(_digest, *_state(found))}"'
        headers = {
            "etag": tag,
            "cache-control": "no-cache" if checkpoint_id == _CURRENT else "public, max-age=31536000, immutable",
            "x-checkpoint-id": wanted,
            "x-bundle-kind": "changes" if found.suffix == ".delta" else "whole",
        }
        if if_none_match is not None and tag in if_none_match:
            return Response(status_code=304, headers=headers)
        return _BundleFile(found, headers=headers, media_type="application/octet-stream")


class _BundleFile(FileResponse):
    """Starlette's, but that a Range which cannot be given is answered by a problem, as all else is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A Range in another unit than bytes is as none (RFC 9110, section 14.2); Starlette would refuse it.
        scope = {**scope, "headers": [one for one in scope["headers"] if not _is_of_another_unit(*one)]}

        async def send_file(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in {400, 416}:
                raise HTTPException(416, headers={"content-range": f"bytes */{self.headers['content-length']}"})
            await send(message)

        await super().__call__(scope, receive, send_file)


def _is_of_another_unit(name: bytes, value: bytes) -> bool:
    return name == b"range" and value.partition(b"=")[0].strip().lower() != b"bytes"


def _found(folder: FilePath, wanted: str, since: str | None) -> FilePath:
    """The changes since the device's bundle where there are any, else the whole one."""
    names = [f"{wanted}.bundle"]
    if since is not None and _CHECKPOINT.fullmatch(since):
        names.insert(0, f"{since}..{wanted}.delta")
    if _CHECKPOINT.fullmatch(wanted):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise NoBundle("there is no bundle of that checkpoint")


def _state(file: FilePath) -> tuple[FilePath, int, int]:
    """What the digest of a file is kept for: a file that is written anew is read anew."""
    found = file.stat()
    return file, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _digest(file: FilePath, _changed: int, _size: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
