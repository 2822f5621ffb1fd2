"""A client of the serving API, typed, blocking or not.

    with Client("http://127.0.0.1:8080") as hearth:
        reply = hearth.recommend("home", user_id="anna", k=5)
        hearth.send([{"event_id": "1", "user_id": "anna", "item_id": reply.items[0].item_id, "event": "view"}])

`Client` and `AsyncClient` have the same methods. What is sent for each, and what is made of the replies, stands once
in `requests`; when it is sent again, in `attempts`. The two differ in how they wait.
"""

from hearth.client.asynchronous import AsyncClient
from hearth.client.attempts import RETRIES
from hearth.client.blocking import Client
from hearth.client.bundle import Bundle
from hearth.client.errors import Problem, Unreachable
from hearth.client.requests import Asked

__all__ = ["RETRIES", "Asked", "AsyncClient", "Bundle", "Client", "Problem", "Unreachable"]
