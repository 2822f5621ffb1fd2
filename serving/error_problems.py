"""Errors over HTTP: which problem each of them is. No text of an exception gets out."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from feature_store.errors import (
    CheckpointError,
    HearthError,
    NothingPromoted,
    RegistryConflict,
    RegistryUnavailable,
    StoreError,
    StoreUnavailable,
    UnknownCheckpoint,
)
from serving.body_faults import faults_of
from serving.errors import (
    Fault,
    ModelNotLoaded,
    ModelTooLarge,
    NoBundle,
    NoCatalogue,
    NoModel,
    OtherCheckpoint,
    RequestRefused,
    StillInProduction,
    UnknownCatalogueItem,
    UnknownErasure,
    UnknownPlacement,
)
from serving.problems import CLOSE, RETRY, Problem, of_status, refused, respond

_STORE_UNAVAILABLE = Problem(
    "store-unavailable",
    503,
    "Not all of it was stored, or could be read; send it again. What was stored changes nothing then.",
    headers=RETRY,
)

_OF_ERRORS: Mapping[type[Exception], Problem] = {
    UnknownPlacement: Problem("unknown-placement", 404, "This server has no placement of that name."),
    UnknownCheckpoint: Problem("unknown-model", 404, "The registry has no checkpoint of that id."),
    NothingPromoted: Problem("nothing-promoted", 409, "There is no checkpoint to go back to."),
    CheckpointError: Problem("unusable-model", 409, "The checkpoint is damaged, or nobody trusted has signed it."),
    RegistryConflict: Problem(
        "registry-conflict", 409, "Others have changed the stages; look at them, then ask again."
    ),
    RegistryUnavailable: Problem("registry-unavailable", 503, "The registry cannot be reached now.", headers=RETRY),
    StillInProduction: Problem(
        "still-in-production", 409, "The checkpoint is in production: promote another one, or roll back, first."
    ),
    UnknownErasure: Problem("unknown-erasure", 404, "This server has given no such receipt, or long ago."),
    ModelNotLoaded: Problem(
        "model-not-loaded",
        409,
        "The checkpoint is neither in production nor on trial here, or it is on trial and failed.",
    ),
    NoBundle: Problem("no-bundle", 404, "This server has no item bundle of that checkpoint."),
    NoCatalogue: Problem("no-catalogue", 404, "This server has no catalogues: none is configured."),
    UnknownCatalogueItem: Problem("unknown-item", 404, "The vertical has no item of that id."),
    NoModel: Problem("no-model", 503, "No checkpoint has been promoted that could be loaded.", headers=RETRY),
    StoreUnavailable: _STORE_UNAVAILABLE,
    StoreError: _STORE_UNAVAILABLE,  # it is damaged, or was written by a later Hearth, until somebody mends that
    # uvicorn closes the connection after it: a client that was not told sends its next request into a reset.
    Exception: Problem(
        "internal-error", 500, "The server failed; its log knows more under the request id.", headers=CLOSE
    ),
}
"""Errors that are always the same problem."""


def of_kind(kind: type[Exception]) -> Problem:
    """What an error of that kind is answered with, as far as that is always the same."""
    if kind is OtherCheckpoint:
        return _OTHER_CHECKPOINT
    if kind is ModelTooLarge:
        return _MODEL_TOO_LARGE
    return _OF_ERRORS[kind]


def problem_of(error: HearthError, within: str = "#") -> Problem:
    """What an error would be answered with, its faults below `within`; an error that is no problem is raised again."""
    if isinstance(error, RequestRefused):
        return refused(Fault(within + fault.pointer.removeprefix("#"), fault.detail) for fault in error.faults)
    if isinstance(error, OtherCheckpoint):
        return _other_checkpoint(error)
    if isinstance(error, ModelTooLarge):
        return _model_too_large(error)
    for kind in type(error).__mro__:
        if kind in _OF_ERRORS and kind is not Exception:
            return _OF_ERRORS[kind]
    raise error


_MODEL_TOO_LARGE = Problem(
    "model-too-large", 409, "Loading the checkpoint would take more memory than this server allows a model."
)


def _model_too_large(error: ModelTooLarge) -> Problem:
    figures = {"expected_bytes": error.expected, "max_model_bytes": error.most}
    return replace(_MODEL_TOO_LARGE, extensions=figures)


_OTHER_CHECKPOINT = Problem(
    "checkpoint-mismatch", 409, "The vector belongs to another checkpoint than the one that answers now."
)


def _other_checkpoint(error: OtherCheckpoint) -> Problem:
    detail = f"The vector belongs to checkpoint {error.given}; checkpoint {error.live} answers now."
    ids = {"given_checkpoint_id": error.given, "live_checkpoint_id": error.live}
    return replace(_OTHER_CHECKPOINT, detail=detail, extensions=ids)


def _always(problem: Problem) -> Callable[[Request, Exception], Response]:
    return lambda _request, _error: respond(problem)


def install(app: FastAPI) -> None:
    """Let every error of the app, the framework's own included, become a problem."""
    for kind, problem in _OF_ERRORS.items():
        app.add_exception_handler(kind, _always(problem))

    @app.exception_handler(RequestRefused)
    async def request_refused(_request: Request, error: RequestRefused) -> Response:
        return respond(refused(error.faults))

    @app.exception_handler(OtherCheckpoint)
    async def other_checkpoint(_request: Request, error: OtherCheckpoint) -> Response:
        return respond(_other_checkpoint(error))

    @app.exception_handler(ModelTooLarge)
    async def model_too_large(_request: Request, error: ModelTooLarge) -> Response:
        return respond(_model_too_large(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        if any(part["type"] == "json_invalid" for part in error.errors()):
            return respond(of_status(400))
        return respond(refused(faults_of(error)))

    @app.exception_handler(HTTPException)
    async def framework(_request: Request, error: HTTPException) -> Response:
        return respond(of_http(error))


def of_http(error: HTTPException) -> Problem:
    """What the framework refuses, as a problem."""
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # see serving.observed
    problem = of_status(error.status_code, headers)
    return _unread(problem, error.__cause__) if error.status_code == 400 else problem


def _unread(problem: Problem, cause: BaseException | None) -> Problem:
    """A body that could not be read as JSON: what stopped the reader, which the framework keeps as a cause alone."""
    if isinstance(cause, UnicodeDecodeError):
        return replace(problem, detail="The body is not in UTF-8.")
    if isinstance(cause, RecursionError):
        return replace(problem, detail="The body is nested too deeply.")
    if isinstance(cause, ValueError):  # of Python's reader: an integer beyond sys.get_int_max_str_digits()
        return replace(problem, detail="A number in the body has too many digits.")
    return problem
