"""`/v1/models`: what the registry holds, and its stages, for operators. Servers follow a change by themselves."""

import asyncio
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_store.errors import (
    BadInput,
    CheckpointError,
    NothingPromoted,
    RegistryConflict,
    RegistryUnavailable,
    UnknownCheckpoint,
)
from feature_store.registry import Registry
from feature_store.stages import Stage, Stages
from serving.access.gate import caller_of
from serving.errors import ModelTooLarge, StillInProduction
from serving.headroom import model_bytes, require_headroom
from serving.openapi import instead
from serving.replies import ModelReady, ModelsReply, StagesReply
from serving.routes.parts import Parts, takes_json
from serving.schemas import ReasonBody

ModelId = Annotated[str, Path(description="the id of a checkpoint")]


def add_models(app: FastAPI, parts: Parts) -> None:
    """`GET /v1/models`, `GET /v1/models/{model_id}/ready`; `POST .../{model_id}:promote`, `:shadow`, `:roll-back`."""
    _add_reading(app, parts)
    _add_changing(app, parts)


def _add_reading(app: FastAPI, parts: Parts) -> None:
    @app.get(
        "/v1/models",
        operation_id="list_models",
        responses={200: {"model": ModelsReply}, **instead(RegistryUnavailable)},
        summary="The checkpoints of the registry and their stages, those of the latest rounds last",
    )
    async def list_models() -> Response:
        """One that cannot be used is listed too, with the reason in `unusable`."""
        return JSONResponse({"models": await asyncio.to_thread(_listed, parts.registry)})

    @app.get(
        "/v1/models/{model_id}/ready",
        operation_id="get_model_readiness",
        responses={200: {"model": ModelReady}},
        summary="Whether this server has that checkpoint in memory",
    )
    async def ready(model_id: ModelId) -> Response:
        """Each server loads a checkpoint some time after its stage changed; of one that nobody knows: not ready."""
        loaded = {"production": parts.live.model, "shadow": parts.trials.shadow.model}
        stage = next((name for name, model in loaded.items() if model and model.model_id == model_id), None)
        if stage is None:
            return JSONResponse({"model_id": model_id, "ready": False})
        return JSONResponse({"model_id": model_id, "ready": True, "stage": stage})


def _add_changing(app: FastAPI, parts: Parts) -> None:
    async def put_into(stage: Stage, model_id: str, body: ReasonBody, request: Request) -> Response:
        who = f"api key {caller_of(request).name or 'none'}"
        manifest = await asyncio.to_thread(parts.registry.manifest, model_id)
        require_headroom(manifest, parts.config.max_model_bytes)
        try:
            stages = await asyncio.to_thread(parts.registry.promote, model_id, stage, who=who, why=body.reason)
        except BadInput as error:  # of all that is handed over, the stage alone can be unacceptable
            raise StillInProduction(f"{model_id} answers, and cannot become {stage}") from error
        return JSONResponse(_shown(stages))

    refusals = (ModelTooLarge, UnknownCheckpoint, CheckpointError, RegistryConflict, RegistryUnavailable)
    changed: dict[int | str, dict[str, Any]] = {200: {"model": StagesReply}}

    @app.post(
        "/v1/models/{model_id}:promote",
        operation_id="promote_model",
        dependencies=[Depends(takes_json)],
        responses={**changed, **instead(*refusals)},
        summary="Put it into production",
    )
    async def promote(model_id: ModelId, body: ReasonBody, request: Request) -> Response:
        """It is read and verified first. Every server of the registry follows. Asked again, nothing changes."""
        return await put_into("production", model_id, body, request)

    @app.post(
        "/v1/models/{model_id}:shadow",
        operation_id="shadow_model",
        dependencies=[Depends(takes_json)],
        responses={**changed, **instead(StillInProduction, *refusals)},
        summary="Put it on trial",
    )
    async def shadow(model_id: ModelId, body: ReasonBody, request: Request) -> Response:
        """It is scored beside production, and answers a share of people where the server's `trial` says so."""
        return await put_into("shadow", model_id, body, request)

    @app.post(
        "/v1/models/{model_id}:roll-back",
        operation_id="roll_back_model",
        dependencies=[Depends(takes_json)],
        responses={
            **changed,
            **instead(NothingPromoted, UnknownCheckpoint, CheckpointError, RegistryConflict, RegistryUnavailable),
        },
        summary="Put back what was in production before it; refused where it is not in production any more",
    )
    async def roll_back(model_id: ModelId, body: ReasonBody, request: Request) -> Response:
        """The address names the checkpoint that is to leave production: two who ask do not go back two steps."""
        if (await asyncio.to_thread(parts.registry.stages)).production != model_id:
            raise RegistryConflict("another checkpoint is in production by now")
        who = f"api key {caller_of(request).name or 'none'}"
        stages = await asyncio.to_thread(parts.registry.roll_back, who=who, why=body.reason)
        return JSONResponse(_shown(stages))


def _listed(registry: Registry) -> list[dict[str, Any]]:
    stages = registry.stages()
    found = []
    for checkpoint_id in registry.checkpoint_ids():
        entry: dict[str, Any] = {"model_id": checkpoint_id, "stage": stages.of(checkpoint_id)}
        try:
            manifest = registry.manifest(checkpoint_id)
        except CheckpointError as error:  # one that cannot be used does not hide the others
            entry["unusable"] = type(error).__name__
        else:
            fields = {"created", "round_number", "dim", "metrics", "parent_id"}
            takes = model_bytes(manifest)
            entry |= {"kept_bytes": takes.kept, "loading_bytes": takes.loading}
            entry |= {"items": manifest.items, **manifest.model_dump(mode="json", include=fields)}
        found.append(entry)
    return found


def _shown(stages: Stages) -> dict[str, object]:
    return {"production": stages.production, "shadow": stages.shadow, "previous": list(stages.previous)}
