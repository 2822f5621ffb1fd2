"""Tenants: those who share a server and must not meet. Each has people of its own, whatever ids it gives them.

In the stores a tenant's person is known by the tenant's name and the id, so that the "anna" of two tenants are two
people. Without a tenant an id stays as it is, but for one that could be taken for a tenant's.
"""

import re
from collections.abc import Mapping

from feature_store.errors import BadInput
from feature_store.events import LONGEST_ID
from serving.errors import UnknownPlacement
from serving.placements.settings import Placement

TENANT_NAME = re.compile("[a-z0-9][a-z0-9-]{0,31}")
_MARK = "\x1f"  # the unit separator: it stands in no tenant's name


def person_of(tenant: str | None, user_id: str) -> str:
    r"""What the stores know that person by. No two pairs of tenant and id share one.

    >>> person_of(None, "anna"), person_of("shop", "anna")
    ('anna', '\x1fshop\x1fanna')

    Raises:
        BadInput: id and tenant together are longer than a store's ids may be.
    """
    if tenant is None and not user_id.startswith(_MARK):
        return user_id
    person = f"{_MARK}{tenant or ''}{_MARK}{user_id}"
    if len(person) > LONGEST_ID:
        most = LONGEST_ID - (len(person) - len(user_id))
        raise BadInput(f"a user id has at most {most} characters here; got {len(user_id)}")
    return person


def reply_of(tenant: str | None, recommendation_id: str) -> str:
    """What a server remembers a reply by, so that events find those of their own tenant alone.

    >>> reply_of("shop", "96f9"), reply_of(None, "96f9")
    ('shop 96f9', '96f9')

    recommendation_id: hexadecimal digits.
    """
    return recommendation_id if tenant is None else f"{tenant} {recommendation_id}"


def placement_of(placements: Mapping[str, Placement], name: str, tenant: str | None) -> Placement:
    """That placement, where it is the tenant's; raises `UnknownPlacement`, also for another's: nobody learns of it."""
    placement = placements.get(name)
    if placement is None or placement.tenant != tenant:
        own = ", ".join(known for known, one in placements.items() if one.tenant == tenant) or "none"
        raise UnknownPlacement(f"placement {name!r} is none of {own}")
    return placement
