"""`GET /v1/item-bundles/{checkpoint_id}`: what a device needs to rank by itself, signed, whole or as changes.

The files stand in a folder, where `hearth models bundle` puts them: `<id>.bundle`, and `<from>..<id>.delta` for the
changes from an earlier one. A server does not sign and does not read them: a device verifies what it gets. Nothing of
the device is in the request but which bundle it has.
"""

import asyncio
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, Query
from starlette.responses import FileResponse, Response

from serving.errors import NoBundle
from serving.routes.parts import Parts

_CHECKPOINT = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")  # as `feature_store.manifest.CheckpointId`
_CURRENT = "current"


def add_bundles(app: FastAPI, parts: Parts) -> None:
    """`GET /v1/item-bundles/{checkpoint_id}`; `current` is that of the model which answers."""

    @app.get(
        "/v1/item-bundles/{checkpoint_id}",
        response_class=FileResponse,
        responses={200: {"content": {"application/octet-stream": {}}}, 206: {}, 304: {}},
        summary="A signed item bundle, whole, or as changes where these are at hand; with ETag and Range",
    )
    async def get_bundle(
        checkpoint_id: str,
        since: Annotated[str | None, Query(max_length=80, description="the bundle that the device has")] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
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
        return FileResponse(found, headers=headers, media_type="application/octet-stream")


def _found(folder: Path, wanted: str, since: str | None) -> Path:
    """The changes since the device's bundle where there are any, else the whole one."""
    names = [f"{wanted}.bundle"]
    if since is not None and _CHECKPOINT.fullmatch(since):
        names.insert(0, f"{since}..{wanted}.delta")
    if _CHECKPOINT.fullmatch(wanted):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise NoBundle("there is no bundle of that checkpoint")


def _state(file: Path) -> tuple[Path, int, int]:
    """What the digest of a file is kept for: a file that is written anew is read anew."""
    found = file.stat()
    return file, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _digest(file: Path, _changed: int, _size: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
