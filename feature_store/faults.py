"""What pydantic found wrong, in one line for a person: no address of its documentation, no echo of a whole file."""

from pydantic import ValidationError

_MOST = 3


def faults_of(error: ValidationError) -> str:
    """Where and what, of at most three faults.

    >>> from pydantic import TypeAdapter
    >>> try:
    ...     TypeAdapter(dict[str, int]).validate_python({"dim": "many"})
    ... except ValidationError as error:
    ...     print(faults_of(error))
    dim: Input should be a valid integer, unable to parse string as an integer
    """

    def said(message: str) -> str:
        return message.removeprefix("Value error, ")  # pydantic's word for an error of ours

    found = error.errors(include_url=False, include_input=False, include_context=False)
    words = [
        ": ".join([".".join(map(str, fault["loc"])), said(fault["msg"])]).removeprefix(": ") for fault in found[:_MOST]
    ]
    more = len(found) - len(words)
    return "; ".join(words) + (f"; and {more} more" if more else "")
