"""An item bundle as it came over HTTP; the signature is the receiver's to verify (`feature_store.item_bundle`)."""

from dataclasses import dataclass, field
from typing import Literal, cast

import httpx

from hearth.client.errors import Unreachable, place_of


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a device needs to rank by itself, or what changed of it.

    checkpoint_id: whose bundle it is, or becomes.
    kind: "changes" are to be applied to the bundle that the device has (`feature_store.item_bundle_delta`).
    etag: by which the server knows this file again.
    """

    checkpoint_id: str
    kind: Literal["whole", "changes"]
    etag: str
    content: bytes = field(repr=False)


def bundle_in(response: httpx.Response) -> Bundle:
    """The bundle that a reply holds; raises `Unreachable` where it is none."""
    found = response.headers
    if found.get("x-bundle-kind") not in {"whole", "changes"} or not {"x-checkpoint-id", "etag"} <= found.keys():
        raise Unreachable(f"{place_of(response.url)} answered {response.status_code} with what is no item bundle")
    kind = cast("Literal['whole', 'changes']", found["x-bundle-kind"])  # it has just been looked at
    return Bundle(found["x-checkpoint-id"], kind, found["etag"], response.content)
