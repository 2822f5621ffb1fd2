"""What is wrong with a body, in words for who writes JSON: a schema's errors as faults, each with its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from serving.errors import Fault
from serving.placements.conditions import AS_NAMES, AS_RANGE

_MOST_FAULTS = 20  # in one problem
_LONGEST_NAME = 80  # of an unknown field that is given back
_READ_AS = {AS_NAMES, AS_RANGE}  # steps of pydantic's that are none of the JSON
_NO_OBJECT = {"model_type", "model_attributes_type", "dict_type"}


def faults_of(error: ValidationError | RequestValidationError, within: str = "#") -> list[Fault]:
    """What a schema found wrong, each with its place below `within`; a value that was sent is never given back.

    At most 20, and where there are more, a last one that says how many. A schema stops early by itself, so that what
    is left out here is little.
    """
    parts = error.errors()
    skipped = 1 if isinstance(error, RequestValidationError) else 0  # the framework's places begin with "body"
    found = [_fault(part, part["loc"][skipped:], within) for part in parts[:_MOST_FAULTS]]
    if len(parts) > _MOST_FAULTS:
        found.append(Fault(within, f"and {len(parts) - _MOST_FAULTS} more"))
    return found


def _fault(part: Mapping[str, Any], place: Sequence[str | int], within: str) -> Fault:
    """One fault, in words for who writes JSON and not Python."""
    place = [step for step in place if step not in _READ_AS]
    kind, detail = part["type"], part["msg"].removeprefix("Value error, ")  # pydantic's word for an error of ours
    if kind in _NO_OBJECT or (kind == "missing" and not place):  # no body at all
        detail = "a JSON object is required"
    elif kind == "list_type":
        detail = "a JSON array is required"
    elif kind == "too_short":
        detail = f"at least {part['ctx']['min_length']} of them"
    elif kind == "too_long":
        detail = f"at most {part['ctx']['max_length']} of them"
    elif kind == "missing":
        detail = "this field is required"
    elif kind == "extra_forbidden":
        detail = "there is no such field"
    elif kind == "recursion_depth_exceeded":
        place, detail = place[:2], "nested too deeply"  # each further step would be one of the schema, too
    if place and len(str(place[-1])) > _LONGEST_NAME:  # of an unknown field: what is given back is bounded
        place, detail = place[:-1], f"there is no field with a name of more than {_LONGEST_NAME} characters"
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in place)
    return Fault("/".join((within, *steps)), detail)
