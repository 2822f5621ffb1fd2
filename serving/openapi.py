"""The description of the API (OpenAPI 3.1), with problems as what they are sent as."""

from typing import Any

from fastapi import FastAPI

from serving.schemas import ProblemBody

PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"model": ProblemBody, "description": "The request breaks the rules that errors names"},
    "default": {"model": ProblemBody, "description": "What was wrong, or cannot be done now (RFC 9457)"},
}
"""What every route may answer instead."""


def describe_problems(app: FastAPI) -> None:
    """Let the description say `application/problem+json` where the framework takes JSON for granted."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            for path in document["paths"].values():
                for operation in path.values():
                    for status in map(str, PROBLEMS):
                        _as_problem(operation["responses"].get(status, {}))
        described: dict[str, Any] = generate()  # kept by the framework, with what was just written into it
        return described

    app.openapi = openapi  # type: ignore[method-assign] # as the framework's documentation extends it


def _as_problem(response: dict[str, Any]) -> None:
    content = response.get("content", {})
    if "application/json" in content:
        content["application/problem+json"] = content.pop("application/json")
