"""A visit over HTTP: ask as a stranger, tell what was looked at, ask again; what was looked at is gone.

It needs a server with a promoted checkpoint. In one terminal

    hearth serve --registry runs/models

and in another

    python examples/recommend_over_http.py

or, for a server elsewhere, with its address behind the name of the script. Each run is a new person.
"""

import secrets
import sys

from feature_store.errors import HearthError
from hearth.client import Client


def ask(hearth: Client, user_id: str, k: int = 5) -> list[str]:
    """The top k of a person; prints each item with its source."""
    reply = hearth.recommend("home", user_id=user_id, k=k)
    for item in reply.items:
        print(f"  {item.rank}. {item.item_id:<12} {item.source}")
    if reply.meta.degraded:
        print(f"  (missing: {', '.join(reply.meta.degraded)})")
    return [item.item_id for item in reply.items]


def tell(hearth: Client, user_id: str, item_ids: list[str]) -> None:
    """Send a view of each item. The event ids are the sender's, so that sending again changes nothing."""
    events = [
        {"event_id": f"view-{item_id}", "user_id": user_id, "item_id": item_id, "event": "view"} for item_id in item_ids
    ]
    refused = [outcome for outcome in hearth.send(events).events if outcome.status == 422]
    if refused:
        sys.exit(f"refused: {refused}")


def main(address: str = "http://127.0.0.1:8080") -> None:
    """Visit the server at that address."""
    user_id = f"visitor-{secrets.token_hex(4)}"
    with Client(address) as hearth:
        print(f"{user_id} is new here:")
        viewed = ask(hearth, user_id)[:2]
        tell(hearth, user_id, viewed)
        print(f"after a look at {' and '.join(viewed)}:")
        again = ask(hearth, user_id)
    still_there = sorted(set(viewed) & set(again))
    if still_there:
        sys.exit(f"seen, and yet recommended again: {', '.join(still_there)}")
    print("What was seen is gone, and what follows is personal.")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except HearthError as error:  # nobody answers there, or what it says is wrong
        sys.exit(str(error))
