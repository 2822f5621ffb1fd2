"""The bodies of requests and replies, as they stand in JSON. Types are not converted, unknown fields are refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from feature_store.events import LONGEST_ID
from feature_store.item_fields import VERTICAL_NAME
from feature_store.vector_noise import LARGEST_EPSILON, NoiseMechanism
from serving.candidates import Source
from serving.placements.conditions import Condition

# Above these nothing is read on, whatever a server is configured to: what is wrong with a body has to be found, and
# told, in a time that other clients can wait.
LONGEST_LIST = 10_000
LONGEST_VECTOR = 4096
_MOST_FIELDS = 32  # of one object, unknown ones included

Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
FiniteNumber = Annotated[float, Field(allow_inf_nan=False)]


class _Received(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, sent: object) -> object:
        if isinstance(sent, dict) and len(sent) > _MOST_FIELDS:
            raise PydanticCustomError("too_many_fields", "an object has at most {most} fields", {"most": _MOST_FIELDS})
        return sent


class SessionEvent(_Received):
    """Something the person did just now."""

    item_id: Id
    event: Id | None = Field(default=None, description="what it was; hide: not this item")


class ContextBody(_Received):
    """When and on what the list will be seen. Leave out what is not known."""

    hour: int | None = Field(default=None, ge=0, le=23, description="of the clock at the person's place")
    weekday: int | None = Field(default=None, ge=0, le=6, description="at that place; 0 is Monday")
    device: Id | None = Field(default=None, description="its class, by the name that training has for it")


class StatedNoise(_Received):
    """What a vector was noised by on the person's device, as that states it: nobody else can check it."""

    mechanism: NoiseMechanism
    epsilon: float = Field(gt=0, le=LARGEST_EPSILON, description="of local differential privacy, of this one vector")


class RecommendBody(_Received):
    """Who asks, and for what. At most one of: a user id (with or without session events), session events, a vector."""

    k: int = Field(default=10, ge=1, description="how many items; a server sets the most")
    user_id: Id | None = Field(default=None, description="whose stored history counts")
    session_events: list[SessionEvent] | None = Field(
        default=None, max_length=LONGEST_LIST, fail_fast=True, description="count for this reply, are not stored"
    )
    query_vector: list[FiniteNumber] | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_VECTOR,
        fail_fast=True,
        description="folded in on the person's device; neither stored nor logged",
    )
    checkpoint_id: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        default=None, description="the checkpoint that query_vector was folded in on"
    )
    noise: StatedNoise | None = Field(default=None, description="what query_vector was noised by, where it was")
    exclude_item_ids: list[Id] = Field(
        default_factory=list,
        max_length=LONGEST_LIST,
        fail_fast=True,
        description="items that must not come back",
    )
    filters: Condition = Field(
        default_factory=dict, description="field -> names, of which an item has one, or {min, max} of its number"
    )
    like_item_id: Id | None = Field(default=None, description="similar items are those like this one")
    diversity: float | None = Field(
        default=None, ge=0, le=1, allow_inf_nan=False, description="in place of the placement's; 0: by score alone"
    )
    explain: bool = Field(default=False, description="say of each item why it stands there")
    context: ContextBody | None = Field(
        default=None, description="shifts what is personal, where the model has learnt how; not stored"
    )
    attributes: Annotated[dict[Id, Id], Field(max_length=20)] = Field(
        default_factory=dict, description="what ads may be meant for, such as region; not stored"
    )

    model_id: Annotated[str, Field(min_length=1, max_length=80)] | None = Field(
        default=None, description="the checkpoint that must answer: that in production, or that in the shadow stage"
    )
    experiments: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=64)]] = Field(
        default_factory=dict, max_length=50, description="experiment -> the arm that the client has chosen itself"
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "anna", "k": 5}]})


class AdTerms(BaseModel):
    """What is bid for an ad, what is foreseen, and what a click costs; money in micros, millionths of the currency."""

    currency: str
    bid_micros: int = Field(description="for a click")
    click_rate: float = Field(description="pCTR: the calibrated probability of a click at the first position")
    ecpm: float = Field(description="bid x pCTR x 1000, in units of the currency")
    price_micros: int = Field(description="what a click costs: what the next ad implies, and at most the bid")
    campaign: str


class ReasonOfItem(BaseModel):
    """Why an item stands there: like what was met, popular, fresh, similar to what was asked about, and so on."""

    kind: str
    item_id: str | None = Field(default=None, description="the item met, or asked about")
    share: float | None = Field(default=None, description="of the personal score that is owed to the item met")
    people: int | None = Field(default=None, description="how many met it")
    hours: float | None = Field(default=None, description="since it appeared")


class RecommendedItem(BaseModel):
    """One item of a reply."""

    item_id: str
    score: float | None = Field(default=None, description="comparable within one source and one reply only")
    rank: int = Field(description="from 1")
    source: Source
    ad: AdTerms | None = Field(default=None, description="of an ad")
    reasons: list[ReasonOfItem] | None = Field(default=None, description="where they were asked for")


class RecommendMeta(BaseModel):
    """How the reply came about."""

    degraded: list[str] = Field(
        description="what was missing: no-model, store-unavailable, popularity-fallback, vertical-unknown, "
        "condition-unknown, context-unknown, graph-unavailable, friends-unavailable, ads-unavailable, "
        "catalogue-stale"
    )
    unknown_items: int = Field(description="items of the session and the exclusions that the model does not know")
    took_ms: float
    noise: StatedNoise | None = Field(default=None, description="of the query_vector, as the request states it")


class RecommendReply(BaseModel):
    """A ranked list, and what it was made from."""

    recommendation_id: str
    model_id: str | None = Field(default=None, description="of the checkpoint that answered; absent: there is none yet")
    experiments: dict[str, str] = Field(default_factory=dict, description="experiment -> the arm that answered")
    privacy_tier: Literal["edge-cell", "ephemeral", "anonymous"]
    items: list[RecommendedItem]
    meta: RecommendMeta


class EventBody(_Received):
    """One thing one person did."""

    event_id: Id = Field(description="unique for the person; sent again, it changes nothing")
    user_id: Id
    item_id: Id
    event: Id = Field(description="what it was, such as view, click, purchase, rating; hide: not this item")
    timestamp: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None, description="seconds since 1970 (UTC), no more than a day ahead of the server's; absent: now"
    )
    value: FiniteNumber | None = Field(default=None, description="how much: stars, seconds, pieces")
    vertical: Id | None = Field(default=None, description="whose item it is, such as news; it decides what this weighs")
    recommendation_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = Field(
        default=None, description="of the reply that showed the item: an impression of an ad is counted, a click paid"
    )


class EventsBody(_Received):
    """Events, each judged by itself: a bad one does not keep the others out."""

    events: Annotated[
        list[JsonValue],
        Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True),
        WithJsonSchema({"type": "array", "items": EventBody.model_json_schema()}),
    ]


class ProblemFault(BaseModel):
    """One thing wrong with a body."""

    pointer: str = Field(description="where: a JSON Pointer (RFC 6901) as a URI fragment")
    detail: str


class ProblemBody(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemFault] | None = None


class EventOutcome(BaseModel):
    """What became of one event: 201 stored; 200 known already, or older than what is kept; 422 refused."""

    index: int = Field(description="its place in the request, from 0")
    status: Literal[200, 201, 422]
    problem: ProblemBody | None = None


class EventsReply(BaseModel):
    """What became of each event, in the order of the request."""

    events: list[EventOutcome]


class PersonBody(_Received):
    """Of whom something is asked."""

    user_id: Id


class ReasonBody(_Received):
    """Why something is changed, for the registry's trail."""

    reason: Annotated[str, Field(max_length=1000)] = ""


class BatchBody(_Received):
    """Several requests of one placement, each answered by itself."""

    requests: Annotated[
        list[JsonValue],
        Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True),
        WithJsonSchema({"type": "array", "items": RecommendBody.model_json_schema()}),
    ]


class ImportBody(_Received):
    """Items of one vertical, each judged by itself; fields as `hearth items import` takes them."""

    vertical: Annotated[str, Field(pattern=f"^{VERTICAL_NAME.pattern}$")]
    items: list[dict[str, JsonValue]] = Field(min_length=1, max_length=LONGEST_LIST, fail_fast=True)


class BatchOutcome(BaseModel):
    """What became of one request: 200 with its reply, else the problem that it would have been answered with."""

    index: int = Field(description="its place in the batch, from 0")
    status: int
    reply: RecommendReply | None = None
    problem: ProblemBody | None = None


class BatchReply(BaseModel):
    """What became of each request, in the order of the batch."""

    replies: list[BatchOutcome]


class ImportOutcome(BaseModel):
    """What became of one item: 200 it is there now; 422 refused."""

    index: int = Field(description="its place in the request, from 0")
    status: Literal[200, 422]
    problem: ProblemBody | None = None


class ImportReply(BaseModel):
    """What became of each item, in the order of the request."""

    items: list[ImportOutcome]


class Version(BaseModel):
    """What runs here."""

    hearth: str
    model_id: str | None = Field(description="the checkpoint that answers; null: none yet")
