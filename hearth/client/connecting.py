"""What a client is told of the server: its address and the API key, looked at before anything is sent."""

import re

import httpx

from feature_store.errors import BadInput

_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def settings_of(address: str, api_key: str | None) -> tuple[httpx.URL, dict[str, str]]:
    """The base of all addresses, and the headers of every request; raises `BadInput`, which never shows the key."""
    try:
        base = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise BadInput(f"{address!r} is no address: {error}") from None
    if base.scheme not in {"http", "https"} or not base.host:
        raise BadInput(f"an address is such as http://127.0.0.1:8080; got {address!r}")
    headers = {"content-type": "application/json", "accept": "application/json"}
    if api_key is not None:
        if not _KEY.fullmatch(api_key):
            raise BadInput("an API key is 1 to 200 visible ASCII characters; this one is not")
        headers["authorization"] = f"Bearer {api_key}"
    return base, headers
