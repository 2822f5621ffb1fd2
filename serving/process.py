"""A server as processes: one, or a parent and its workers."""

from collections.abc import Callable

from serving.config import ServingConfig
from serving.first_start import said_why
from serving.logs import log_to_stderr


def run(config: ServingConfig, listening: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, by as many processes as are configured. The log goes to stderr.

    listening: called with the address, such as `http://127.0.0.1:8080`, once all of them accept requests.

    Raises:
        HearthError: the server cannot begin: a trusted key cannot be read, there are no keys for the store, the store
            cannot be opened; or a worker has ended again and again.
        OSError: the address cannot be listened on.
    """
    # Imported here: a parent has no use for what a server needs, which takes 30 MB of its own and a second.
    if config.workers > 1:
        from serving.workers.parent import run_workers  # noqa: PLC0415

        run_workers(config, listening)
    else:
        log_to_stderr()
        with said_why():
            from serving import server  # noqa: PLC0415

        server.run(config, listening)
