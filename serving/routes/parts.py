"""What the routes work with, and what several of them do."""

import json
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from feature_store.item_store import ItemStore
from feature_store.registry import Registry
from serving.ads.desk import AdDesk
from serving.attribution import Attribution
from serving.config import ServingConfig
from serving.erasures import Erasures
from serving.feedback import FeedbackByTenant
from serving.live import LiveModel
from serving.metrics import Metrics
from serving.neighbours import Neighbourhood
from serving.online import Online
from serving.people import People
from serving.recall import RecallProbe
from serving.settings_files import SettingsFiles
from serving.trials import Trials
from serving.workers.siblings import Siblings


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the routes work with."""

    config: ServingConfig
    live: LiveModel
    people: People
    metrics: Metrics
    feedback: FeedbackByTenant
    neighbourhood: Neighbourhood
    desk: AdDesk
    catalogues: ItemStore | None = None
    files: SettingsFiles = field(kw_only=True)
    trials: Trials = field(kw_only=True)
    attribution: Attribution = field(kw_only=True)
    online: Online = field(kw_only=True)
    erasures: Erasures = field(kw_only=True)
    registry: Registry = field(kw_only=True)
    recall: RecallProbe = field(kw_only=True)
    siblings: Siblings = field(kw_only=True)


async def takes_json(request: Request) -> None:
    """Refuse a body that is not sent as JSON, or not in UTF-8 (RFC 8259, section 8.1).

    Python's reader takes UTF-16 and UTF-32 as well, and halves of surrogate pairs.
    """
    if not is_json(request):
        raise HTTPException(415)
    try:
        require_utf_8(await request.body())
    except UnicodeDecodeError as error:
        raise HTTPException(400) from error  # which becomes the problem that says so


def is_json(request: Request) -> bool:
    """Whether the body is sent as JSON."""
    kind: str = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"


def require_utf_8(body: bytes) -> None:
    """Raise `UnicodeDecodeError` where it is in anything else."""
    body.decode()
    if not json.detect_encoding(body).startswith("utf-8"):  # of English, UTF-16 is UTF-8 with noughts in it
        raise UnicodeDecodeError("utf-8", b"", 0, 0, "this is UTF-16 or UTF-32")


def json_reply(body: BaseModel, status: int = 200, background: BackgroundTask | None = None) -> Response:
    """A reply written by pydantic at once; the framework would check our own values a second time.

    background: done once the reply was sent.
    """
    content = body.model_dump_json(exclude_none=True)
    return Response(content, status, media_type="application/json", background=background)
