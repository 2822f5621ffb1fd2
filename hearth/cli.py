"""The command `hearth`.

Commands import what they need when they run: `hearth serve` starts without TensorFlow, `hearth --help` without
anything.
"""

import sys

import typer
from pydantic import ValidationError

from feature_store.errors import HearthError
from hearth.commands import bench, data, demo, evaluate, keys, models, serve, train

app = typer.Typer(
    help="Recommendations that stay by the hearth.\n\nExample: `hearth demo`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.command("serve")(serve.serve)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run a command; what is wrong with the input is said in a line, without a traceback, and the status is 1."""
    try:
        app()
    except ValidationError as error:
        for fault in error.errors():
            name = ".".join(map(str, fault["loc"])) or error.title
            print(f"error: {name}: {fault['msg']} (got {fault['input']!r})", file=sys.stderr)  # noqa: T201 - as below
        sys.exit(1)
    except (HearthError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - an error is text, and not for Rich to lay out
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
