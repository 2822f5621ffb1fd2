"""Side tasks that outlive an error which nobody foresaw: what goes on beside requests must not end the server.

Each of them handles what it foresees by itself. Of anything else the log says where it arose, and the task begins anew
after a wait, while requests are answered as before.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

_LOG = logging.getLogger("serving.outliving")
_LONGEST_WAIT = 60.0  # seconds before a task begins anew that failed again and again


async def outliving(what: str, task: Callable[[], Awaitable[NoReturn]], first_wait: float) -> NoReturn:
    """Run the task, and whenever it fails begin it anew, until cancelled.

    what: names the task in the log.
    first_wait: seconds before it begins anew; doubled each time, up to a minute, until it has run for a minute.
    """
    wait = first_wait
    while True:
        begun = time.monotonic()
        try:
            await task()
        except Exception as error:  # noqa: BLE001 - a side task that ended would take down a server that answers well
            if time.monotonic() - begun > _LONGEST_WAIT:
                wait = first_wait
            fields = {"task": what, "again_in_seconds": wait}
            _LOG.error("side task failed; it begins anew", exc_info=error, extra={"fields": fields})
        await asyncio.sleep(wait)
        wait = max(first_wait, min(2 * wait, _LONGEST_WAIT))
