"""The description of the API (OpenAPI 3.1): what each operation takes and wants, and what it may answer instead.

The framework describes parameters, bodies and replies from the routes. What is the same of many operations is added
here: what every request may be refused for, which API key an operation wants, and an example that a server accepts.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from serving.access.gate import entry_of
from serving.error_problems import of_kind
from serving.openapi_examples import EXAMPLES
from serving.problems import (
    MALFORMED_REQUEST,
    STOPPING,
    Problem,
    for_whole_server,
    of_status,
    overloaded,
    quota_used_up,
    refused,
    too_many,
    without_key,
)
from serving.schemas import ProblemBody

OPEN_TO_ALL: dict[str, Any] = {"security": []}
"""For a route that wants no API key; the gate has to know it too."""

BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
PROBLEMS: dict[int | str, dict[str, Any]] = {422: {"model": ProblemBody}}
"""In place of the framework's own description of what it refuses; written anew below."""

_KEY = "apiKey"
_OTHER_KEY = replace(
    for_whole_server(), detail="The API key is for something else, or a tenant's where all tenants are concerned."
)
_PROBLEM = {"$ref": "#/components/schemas/ProblemBody"}
_REQUEST_ID = {"$ref": "#/components/headers/RequestId"}
_OF_HEADERS = {
    "retry-after": {"description": "seconds after which it may be asked again", "schema": {"type": "integer"}},
    "www-authenticate": {"description": "what is wanted (RFC 6750)", "schema": {"type": "string"}},
}
_ABOUT = """\
Which API key an operation wants stands under its `security`, as a scope. A server that was started without API keys
wants none, and then answers on the loopback address alone unless it is told otherwise.

Every error is a problem (RFC 9457). It never gives back what was sent, but for the name of an unknown field and the
id of a checkpoint. Replies may get further fields; unknown fields of a request are refused."""


def instead(*kinds: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """What a route may answer instead: those errors, by the status that they have as problems."""
    return described(*map(of_kind, kinds))


def described(*problems: Problem) -> dict[int | str, dict[str, Any]]:
    """Those problems, as a route's further responses."""
    responses: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        response = responses.setdefault(problem.status, {"description": ""})
        response["description"] = _with_line(response["description"], problem)
    return responses


def of_header(name: str, what: str, example: str) -> dict[str, Any]:
    """An optional header of a request which the framework reads by itself."""
    said = {"description": what, "schema": {"type": "string"}, "example": example}
    return {"name": name, "in": "header", "required": False, **said}


def describe_problems(app: FastAPI) -> None:
    """Let the description of the app say all that is said here."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate())
        described: dict[str, Any] = generate()  # kept by the framework, with what was just written into it
        return described

    app.openapi = openapi  # type: ignore[method-assign] # as the framework's documentation extends it


def _complete(document: dict[str, Any]) -> None:
    document["info"]["description"] = _ABOUT
    document["components"]["headers"] = {
        "RequestId": {"description": "of this request, as the log has it", "schema": {"type": "string"}}
    }
    document["components"]["responses"] = {}
    document["components"]["securitySchemes"] = {
        _KEY: {"type": "http", "scheme": "bearer", "description": "An API key; `hearth keys new-api-key` makes one."}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "security" not in operation:
                entry = entry_of(path)
                operation["security"] = [{_KEY: [entry.scope]}]
                operation["description"] += f"\n\nScope `{entry.scope}`" + (
                    "; a tenant's key will do." if entry.by_tenants else ", of a key without a tenant."
                )
            _add_example(operation)
            _add_problems(path, operation)
            for status, response in operation["responses"].items():
                response.setdefault("headers", {})["x-request-id"] = _REQUEST_ID
                if response["description"] == "Successful Response":
                    response["description"] = operation["summary"]
                if int(status) >= 400:
                    operation["responses"][status] = _shared(response, document["components"]["responses"])


def _add_example(operation: dict[str, Any]) -> None:
    example = EXAMPLES[operation["operationId"]]
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in example.parameters:
            parameter["example"] = example.parameters[parameter["name"]]
    if example.body is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = example.body


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for problem in _any_may_be(path, operation):
        response = responses.setdefault(str(problem.status), {"description": ""})
        response["description"] = _with_line(response["description"], problem)
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = {"application/problem+json": {"schema": _PROBLEM}}
            names = {"401": ("www-authenticate",), "403": ("www-authenticate",), "429": ("retry-after",)}
            for name in ("retry-after",) if status == "503" else names.get(status, ()):
                response.setdefault("headers", {})[name] = _OF_HEADERS[name]
    operation["responses"] = dict(sorted(responses.items()))


def _any_may_be(path: str, operation: dict[str, Any]) -> Iterator[Problem]:
    """What an operation may be answered instead because of what it takes, and whatever it does."""
    yield MALFORMED_REQUEST
    yield of_kind(Exception)
    yield STOPPING
    if path.startswith("/v1/"):
        yield overloaded()
    if operation["security"]:
        yield from (without_key(), _OTHER_KEY, too_many(1), quota_used_up(1))
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if "path" in places:
        yield of_status(404)  # an id with a slash in it makes another address
    if "requestBody" in operation:
        yield from map(of_status, (400, 408, 413, 415))
    if "requestBody" in operation or "query" in places:
        yield refused(())


def _shared(response: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """The response by its name, where it stands once for all operations; problems of one name have one text."""
    name = "-or-".join(re.findall(r"^- `/problems/([a-z-]+)`", response["description"], re.MULTILINE))
    shared[name] = response
    return {"$ref": f"#/components/responses/{name}"}


def _with_line(description: str, problem: Problem) -> str:
    lines: Iterable[str] = description.splitlines()
    return "\n".join(dict.fromkeys((*lines, f"- `/problems/{problem.slug}`: {problem.detail}")))
