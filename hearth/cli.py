"""The command `hearth`.

Commands import what they need when they run: `hearth serve` starts without TensorFlow, `hearth --help` without
anything.
"""

import importlib.metadata
import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from feature_store.errors import HearthError
from hearth.commands import (
    ads,
    bench,
    data,
    demo,
    evaluate,
    federation,
    items,
    keys,
    kubernetes,
    models,
    openapi,
    people,
    placements,
    retrain,
    serve,
    train,
    tune,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as Typer calls it
    if wanted:
        print(importlib.metadata.version("hearth-recommender"))  # noqa: T201 - what a program reads
        raise typer.Exit


app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(federation.app, name="federation")
app.command("retrain")(retrain.retrain)
app.add_typer(models.app, name="models")
app.add_typer(items.app, name="items")
app.add_typer(people.app, name="people")
app.add_typer(keys.app, name="keys")
app.add_typer(placements.app, name="placements")
app.add_typer(kubernetes.app, name="kubernetes")
app.add_typer(ads.app, name="ads")
app.command("serve")(serve.serve)
app.command("openapi")(openapi.openapi)
app.add_typer(bench.app, name="bench")


@app.callback()
def hearth(
    version: Annotated[  # noqa: FBT002 - an option is never positional
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Recommendations that stay by the hearth.

    Example: `hearth demo`
    """


def main() -> None:
    """Run a command; what is wrong with the input is said in a line, without a traceback, and the status is 1."""
    try:
        app()
    except ValidationError as error:
        for fault in error.errors():
            name = ".".join(map(str, fault["loc"]))
            reason = fault["msg"].removeprefix("Value error, ")  # of a whole that does not fit: the reason says it all
            _say(f"{name}: {reason} (got {fault['input']!r})" if name else reason)
        sys.exit(1)
    except HearthError as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror or error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(message: str) -> None:
    """An error on stderr; characters that a terminal would act on are written out."""
    safe = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in message)
    print(f"error: {safe}", file=sys.stderr)  # noqa: T201 - text, and not for Rich to lay out
