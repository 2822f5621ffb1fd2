"""`hearth serve`: recommendations over HTTP."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError

from hearth import environment
from hearth.commands.options import AdCountersOption, PlaceOption, RedisSettingsOption, TrustOption
from hearth.terminal import ERR
from hearth.trust import own_key, public_file, registry_folder, store_keys

if TYPE_CHECKING:
    from serving.tracing.settings import TraceSettings


def serve(
    registry: PlaceOption,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="SQLite file for events and user embeddings, or redis://host:port. Default: in memory.",
        ),
    ] = None,
    store_key: Annotated[
        Path | None,
        typer.Option(
            "--store-key", help=f"File of the store's keys; made if absent. [{environment.STORE_KEY}: the keys]"
        ),
    ] = None,
    redis_settings: RedisSettingsOption = None,
    social_graph: Annotated[
        Path | None,
        typer.Option(
            "--social-graph",
            help="SQLite file of who follows, blocks and mutes whom; a Redis of --store has it itself.",
        ),
    ] = None,
    items: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE", help="The catalogues, as of `hearth items`: a SQLite file, or redis://host:port."
        ),
    ] = None,
    ad_counters: AdCountersOption = None,
    bundles: Annotated[
        Path | None, typer.Option(help="Folder of item bundles for devices: ID.bundle, FROM..ID.delta.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer; several need a --store, and share the items.")
    ] = 1,
    placements: Annotated[
        Path | None, typer.Option(help="File of placements, .toml or .json; read again when it changes.")
    ] = None,
    api_keys: Annotated[
        Path | None,
        typer.Option("--api-keys", help="File of API keys, .toml or .json: without one of them nothing is answered."),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open", help="Answer whoever reaches a --host that is not this machine, without keys.")
    ] = False,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of the server's certificate: HTTPS.")] = None,
    certificate_key: Annotated[
        Path | None, typer.Option("--certificate-key", help="PEM file of the certificate's private key.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", help="Whose web pages may ask, such as https://shop.example (CORS)."),
    ] = None,
    index: Annotated[
        Literal["auto", "exact", "int8", "inverted"],
        typer.Option(help="By which items are found; auto: as suits the size of each catalogue."),
    ] = "auto",
    index_folder: Annotated[
        Path | None,
        typer.Option(
            "--index-folder",
            help="Folder of indexes and vectors, which the servers of this machine share in memory. "
            "Default: each has its own.",
        ),
    ] = None,
    traces: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="OpenTelemetry receiver (OTLP/HTTP) of traces, such as http://127.0.0.1:4318. Default: none.",
        ),
    ] = None,
    traces_share: Annotated[
        float | None,
        typer.Option(
            "--traces-share", min=0.0, max=1.0, help="Of the requests, what part is recorded for --traces. [1.0]"
        ),
    ] = None,
    trust: TrustOption = None,
) -> None:
    """Serve the checkpoint in production, and each one that is promoted later.

    Example: `hearth serve --registry models --store people.sqlite`
    """
    from feature_store.errors import BadInput
    from feature_store.item_store_opening import is_redis
    from hearth.cells import redis_settings as settings_of
    from serving.config import ServingConfig, is_loopback
    from serving.process import run

    for option, given in (
        ("--store-key", store_key),
        ("--redis-settings", redis_settings),
        ("--social-graph", social_graph),
        ("--ad-counters", ad_counters),
    ):
        if given is not None and store is None and not (option == "--redis-settings" and is_redis(items or "")):
            raise BadInput(f"{option} is for the place of --store; name that too")
    if api_keys is None and not open_to_all and not is_loopback(host):
        raise BadInput(f"whoever reaches {host} could ask for anybody: name --api-keys, or say --open if that is meant")
    if workers > 1 and store is None:
        raise BadInput("several --workers cannot share what is kept in memory; name a --store")
    place = _registry(registry)
    redis = None if store is None else settings_of(store, redis_settings)
    items_redis = None if items is None else settings_of(items, redis_settings if is_redis(items) else None)
    if redis is not None and social_graph is not None:
        raise BadInput("--social-graph is a file beside a SQLite store; a Redis holds the social graph itself")
    if not trust:
        own_key()  # makes its public half, where there is none yet
    config = ServingConfig(
        registry=place,
        copies=None if isinstance(place, Path) else environment.cache_folder() / "checkpoints",
        trusted_keys=tuple(trust or [public_file()]),
        store=None if store is None or redis else Path(store),
        redis=redis,
        store_keys=None if store is None else store_keys(store_key),
        social_graph=social_graph,
        items=None if items is None or items_redis else Path(items),
        items_redis=items_redis,
        ad_counters=ad_counters,
        bundles=bundles,
        host=host,
        port=port,
        workers=workers,
        placements_file=placements,
        index=index,
        index_folder=index_folder,
        api_keys=api_keys,
        open_to_all=open_to_all,
        certificate=certificate,
        certificate_key=certificate_key,
        allowed_origins=tuple(allow_origin or ()),
        traces=_traces(traces, traces_share),
    )
    if isinstance(place, Path) and not place.is_dir():
        ERR.print(f"there is no registry {place} yet; recommendations wait for one, and for a promoted checkpoint")
    try:
        run(config, _say)
    except OSError as error:
        if error.filename is not None:  # a file of the configuration, and no address
            raise
        raise BadInput(f"cannot listen on {host}, port {port}: {error.strerror}; --port 0 takes a free port") from error


def _registry(place: str) -> str | Path:
    return place if "://" in place else registry_folder(Path(place))


def _traces(url: str | None, share: float | None) -> "TraceSettings | None":
    from feature_store.errors import BadInput
    from feature_store.faults import faults_of
    from serving.tracing.settings import TraceSettings

    if url is None:
        if share is not None:
            raise BadInput("--traces-share is of the requests that --traces records; name that too")
        return None
    try:
        return TraceSettings(url=url) if share is None else TraceSettings(url=url, share=share)
    except ValidationError as error:  # says what was wrong, but not the URL, which may hold a password
        raise BadInput(f"--traces: {faults_of(error)}") from None


def _say(address: str) -> None:
    """The address on stdout, where a script reads it; the rest is for people."""
    print(address, flush=True)  # noqa: T201 - a bare line
    ERR.print(f"listening; the API is described at {address}/docs, Ctrl-C stops", soft_wrap=True)
