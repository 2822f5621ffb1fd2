"""The configuration of a server: one frozen value, read from a file or built by the command line."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from feature_store.encryption import KEY_VARIABLE
from feature_store.item_store import MOST_AT_ONCE
from feature_store.redis_settings import RedisSettings
from serving.ads.settings import require_sponsors
from serving.experiments import Experiment
from serving.indexes.choice import IndexName
from serving.placements.needs import Server, require_needs
from serving.placements.settings import PLACEMENT_NAME, Placement, default_placements
from serving.schemas import LONGEST_LIST
from serving.tracing.settings import TraceSettings
from serving.trial import TrialSettings


class ServingConfig(BaseModel):
    """All that a server is told. An unknown or missing key is an error that names it.

    >>> ServingConfig(registry=Path("models"), trusted_keys=(Path("training.pub"),)).placements["home"].sources
    (PersonalSource(share=0.0, depth=300, kind='personal'),)
    """

    # What is wrong is said without what was given: it may have a password in it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    registry: str | Path = Field(description="folder of the checkpoint registry, or a URL such as s3://bucket/prefix")
    copies: Path | None = Field(
        default=None, description="folder for the checkpoints of an object store; absent: fetched anew by each process"
    )
    trusted_keys: tuple[Path, ...] = Field(
        min_length=1, description="PEM files of the public keys whose checkpoints are served"
    )
    store: Path | None = Field(
        default=None, description="SQLite file of events and embeddings; without it and redis, they go with the process"
    )
    redis: RedisSettings | None = Field(
        default=None, description="Redis of events and embeddings, in place of the file, for several servers of a cell"
    )
    store_keys: Path | None = Field(
        default=None, description=f"file of the keys that the store is sealed with; absent: those in {KEY_VARIABLE}"
    )
    store_timeout_seconds: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="after this, people get popular items"
    )
    social_graph: Path | None = Field(
        default=None,
        description="SQLite file of who follows, blocks and mutes whom, beside store; a redis has it itself",
    )
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535, description="0: any free port; the address is logged")
    workers: int = Field(
        default=1, ge=1, le=64, description="processes that answer at the address; several need a store that they share"
    )
    items: Path | None = Field(
        default=None, description="SQLite file of the catalogues; absent: what can be shown is what the model knows"
    )
    items_redis: RedisSettings | None = Field(default=None, description="Redis of the catalogues, in place of the file")
    bundles: Path | None = Field(default=None, description="folder of item bundles for devices")
    ad_counters: Path | None = Field(
        default=None, description="SQLite file of what ads spend and who saw them, beside store; a redis has it itself"
    )
    ads_seconds: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="between two looks at what ads have spent, and their clicks"
    )
    catalogue_seconds: float = Field(
        default=0.2, gt=0, allow_inf_nan=False, description="between two looks at what changed in the catalogues"
    )
    placements: Mapping[str, Placement] = Field(default_factory=default_placements, min_length=1)
    placements_file: Path | None = Field(
        default=None,
        description="TOML or JSON file of placements, in place of `placements`; read again when it changes",
    )
    api_keys: Path | None = Field(
        default=None, description="TOML or JSON file of API keys, read again when it changes; absent: nobody needs one"
    )
    open_to_all: bool = Field(
        default=False, description="without API keys, answer whoever reaches an address that is not loopback"
    )
    open_metrics: bool = Field(default=False, description="with API keys, give /metrics to whoever asks")
    certificate: Path | None = Field(
        default=None, description="PEM file of the server's certificate and those above it: HTTPS in place of HTTP"
    )
    certificate_key: Path | None = Field(default=None, description="PEM file of that certificate's private key")
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="whose web pages may ask, such as https://shop.example; none: browsers let no page (CORS)",
    )
    trial: TrialSettings = Field(default=TrialSettings(), description="of the model in the shadow stage")
    experiments: Mapping[str, Experiment] = Field(
        default_factory=dict, max_length=50, description="name -> a division of those who ask a placement"
    )
    index: IndexName = Field(
        default="auto",
        description="by which items are found: exact, int8, inverted, or auto for what suits a catalogue",
    )
    index_recall: float = Field(
        default=0.99, gt=0, le=1, allow_inf_nan=False, description="of the best ten, what an index is to find"
    )
    index_folder: Path | None = Field(
        default=None,
        description="folder of indexes and vectors that the servers of a machine share; absent: each has its own",
    )
    recall_share: float = Field(
        default=0.01, ge=0, le=1, allow_inf_nan=False, description="of replies: how well the index found their items"
    )
    traces: TraceSettings | None = Field(
        default=None, description="where the traces of requests go (OTLP/HTTP); absent: there are none"
    )
    watch_seconds: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="between two looks at what is promoted"
    )
    drain_seconds: int = Field(default=20, ge=1, description="how long requests may take to finish when told to stop")
    max_under_way: int = Field(
        default=256, ge=1, description="requests at one time that wait for a store; one more is told to come back"
    )
    queue_seconds: float = Field(
        default=0.1,
        gt=0,
        allow_inf_nan=False,
        description="a request that has waited longer for its turn is told to come back",
    )
    max_connections: int = Field(
        default=1000, ge=1, description="more are closed at once; never more than the process may open files, less 64"
    )
    header_seconds: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="for the head of a request, from its first byte"
    )
    body_seconds: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="for the body of a request; and for a client to take a reply",
    )
    keep_alive_seconds: int = Field(default=5, ge=1, description="how long a connection may be idle between requests")
    max_k: int = Field(default=100, ge=1, description="most items in one reply")
    max_ids: int = Field(
        default=1000, ge=1, le=LONGEST_LIST, description="most session events, and most exclusions, in one request"
    )
    max_events: int = Field(default=1000, ge=1, le=LONGEST_LIST, description="most events in one batch")
    max_batch: int = Field(default=100, ge=1, le=1000, description="most requests in one batch")
    max_items: int = Field(default=1000, ge=1, le=MOST_AT_ONCE, description="most items in one import")
    feedback_half_life_hours: float = Field(
        default=24.0, gt=0, allow_inf_nan=False, description="after which a show or click of an item counts half"
    )
    feedback_items: int = Field(
        default=100_000, ge=1, description="items whose shows and clicks are counted; those longest silent go first"
    )
    max_model_bytes: int | None = Field(
        default=None, ge=1, description="of memory that loading a checkpoint may take; absent: any, as far as there is"
    )
    max_body_bytes: int = Field(default=1 << 20, ge=1, description="largest body of a request")

    @field_validator("registry")
    @classmethod
    def _place_of_registry(cls, registry: str | Path) -> str | Path:
        return registry if "://" in str(registry) else Path(registry)

    @model_validator(mode="after")
    def _experiments_are_about_placements(self) -> "ServingConfig":
        for name, experiment in self.experiments.items():
            if not PLACEMENT_NAME.fullmatch(name):
                raise ValueError(f"experiment {name!r} is not named like {PLACEMENT_NAME.pattern}")
            named = {experiment.placement, *(arm.placement for arm in experiment.arms.values() if arm.placement)}
            # Those of a file are held to this when it is read: see `serving.settings_files`.
            if self.placements_file is not None:
                continue
            if unknown := sorted(named - self.placements.keys()):
                raise ValueError(f"experiment {name!r} names placement {unknown[0]!r}, which is none of this server's")
            tenant = self.placements[experiment.placement].tenant
            if others := sorted(arm for arm in named if self.placements[arm].tenant != tenant):
                raise ValueError(
                    f"experiment {name!r} names placements {experiment.placement!r} and {others[0]!r}, "
                    "of different tenants"
                )
        return self

    @model_validator(mode="after")
    def _one_store(self) -> "ServingConfig":
        if self.store is not None and self.redis is not None:
            raise ValueError("store and redis are two places for the same; name one of them")
        if self.social_graph is not None and self.store is None:
            raise ValueError("social_graph is a file beside store; a redis holds the social graph itself")
        if self.ad_counters is not None and self.store is None:
            raise ValueError("ad_counters is a file beside store; a redis holds the counters of ads itself")
        if self.items is not None and self.items_redis is not None:
            raise ValueError("items and items_redis are two places for the same; name one of them")
        if self.workers > 1 and self.store is None and self.redis is None:
            raise ValueError("several workers cannot share what is kept in memory; name a store or a redis")
        return self

    @model_validator(mode="after")
    def _placements_have_what_they_need(self) -> "ServingConfig":
        has = Server(
            graph=self.social_graph is not None or self.redis is not None,
            catalogue=self.items is not None or self.items_redis is not None,
            counters=self.ad_counters is not None
            or self.store is None,  # with people in memory, counters are there too
        )
        require_needs(self.placements, has)
        return self

    @model_validator(mode="after")
    def _nobody_is_let_in_by_mistake(self) -> "ServingConfig":
        if self.api_keys is None and not self.open_to_all and not is_loopback(self.host):
            raise ValueError(
                f"whoever reaches {self.host} could ask for anybody: name api_keys, or say open_to_all if that is meant"
            )
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key go together")
        return self

    @field_validator("placements")
    @classmethod
    def _names_fit_into_urls(cls, placements: Mapping[str, Placement]) -> Mapping[str, Placement]:
        for name in placements:
            if not PLACEMENT_NAME.fullmatch(name):
                raise ValueError(f"placement {name!r} is not named like {PLACEMENT_NAME.pattern}")
        require_sponsors(placements)
        return placements


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
