"""The bodies of replies about items, people, models and health, as they stand in JSON.

Those about lists and events stand beside their requests, in `serving.schemas`.
"""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from feature_store.item_schemas import Ad, Article, PlainItem, Post, Product

Item: TypeAlias = Annotated[PlainItem | Product | Article | Post | Ad, Field(discriminator="type")]


class ItemsPage(BaseModel):
    """Some items of a vertical, those that changed longest ago first."""

    items: list[Item]
    unreadable_item_ids: list[str] | None = Field(
        default=None, description="of the page, but damaged or of a later Hearth, and so not among items; absent: none"
    )
    next_cursor: str | None = Field(default=None, description="where the next page begins; absent: this is the last")


class PersonExport(BaseModel):
    """All that is held of a person, by the place that holds it; a server has further places where it is told so."""

    model_config = ConfigDict(extra="allow")

    format: Literal["hearth-person/1"]
    user_id: str
    events: dict[str, JsonValue] = Field(description="what the person did")
    embeddings: dict[str, JsonValue] = Field(description="what was folded in from it, by checkpoint")


class Erasure(BaseModel):
    """The receipt of an erasure."""

    erasure_id: str = Field(description="by which the receipt can be asked for again")
    pseudonym: str = Field(description="what the store knew the person by; it tells nobody else who that was")
    removed: dict[str, int] = Field(description="place -> how many things were removed there")
    left: dict[str, int] = Field(description="place -> how many were found when it was read again afterwards")
    complete: bool = Field(description="whether nothing was found any more")
    files_rewritten: bool = Field(description="whether the files were written anew since, without what was removed")
    erased_at: float = Field(description="seconds since 1970")


class ModelEntry(BaseModel):
    """A checkpoint of the registry; of one that cannot be used, why, in place of what it is."""

    model_id: str
    stage: Literal["candidate", "shadow", "production"]
    unusable: str | None = Field(default=None, description="the name of the error")
    items: int | None = Field(default=None, description="how many it knows")
    created: datetime | None = None
    round_number: int | None = None
    dim: int | None = None
    metrics: dict[str, float] | None = None
    parent_id: str | None = None
    kept_bytes: int | None = Field(default=None, description="of memory, about, while it answers")
    loading_bytes: int | None = Field(default=None, description="of memory, about and at most, while it is loaded")


class ModelsReply(BaseModel):
    """The checkpoints of the registry, those of the latest rounds last."""

    models: list[ModelEntry]


class ModelReady(BaseModel):
    """Whether a server has that checkpoint in memory, and in which stage."""

    model_id: str
    ready: bool
    stage: Literal["production", "shadow"] | None = None


class StagesReply(BaseModel):
    """The stages after a change. Each server follows by itself."""

    production: str | None
    shadow: str | None
    previous: list[str] = Field(description="those that were in production before, the latest last")


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether recommendations are answered, and what was looked at: model, stores, files of settings."""

    status: Literal["ok"]
    checks: dict[str, dict[str, JsonValue]]
