"""`hearth ads`: what ads are ranked by."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import OUT, print_json, table

app = typer.Typer(
    help="What ads are ranked by.\n\nExample: `hearth ads calibrate impressions.csv.gz --output calibration.json`",
    no_args_is_help=True,
)


class MethodName(StrEnum):
    """The ways to calibrate, as the command line names them."""

    ISOTONIC = "isotonic"
    PLATT = "platt"


@app.callback()
def ads() -> None:
    """What ads are ranked by."""


@app.command("calibrate")
def calibrate(
    impressions: Annotated[
        Path, typer.Argument(help="CSV, plain or .gz: item_id, timestamp, clicked and, where logged, position.")
    ],
    output: Annotated[Path, typer.Option(help="Where the calibration goes; placements name it.")],
    score: Annotated[
        str | None, typer.Option(help="Column of the model's score. Default: the click rate of the ad until then.")
    ] = None,
    method: Annotated[MethodName, typer.Option(help="Steps that rise, or a logistic curve.")] = MethodName.ISOTONIC,
    share: Annotated[
        float, typer.Option(min=0.01, max=0.99, help="Of the impressions, the earliest, that it is fitted on.")
    ] = 0.7,
    prior_clicks: Annotated[float, typer.Option(min=1e-3, help="As in the placement.")] = 1.0,
    prior_shows: Annotated[float, typer.Option(min=1e-3, help="As in the placement.")] = 100.0,
    plot: Annotated[Path | None, typer.Option(help="Where a reliability diagram goes, an SVG file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn scores into probabilities of a click, and judge them on later impressions.

    Example: `hearth ads calibrate impressions.csv.gz --output calibration.json --plot calibration.svg`
    """
    from feature_store.durable import replace
    from feature_store.errors import BadInput
    from hearth.report.reliability import reliability_svg
    from serving.ads.calibrating import calibrated
    from serving.ads.impressions import read_impressions

    if not prior_clicks < prior_shows:
        raise BadInput(f"--prior-clicks ({prior_clicks:g}) are fewer than --prior-shows ({prior_shows:g})")
    found = calibrated(read_impressions(impressions, score), method.value, share, prior_clicks, prior_shows)
    replace(output, f"{found.calibration.model_dump_json(indent=2)}\n".encode())
    if plot is not None:
        title = f"{method.value}, {found.judged:,} impressions later than the {found.fitted:,} it was fitted on"
        replace(plot, reliability_svg(title, found.before.bins, found.after.bins))
    judged = {"before": found.before, "after": found.after, "base": found.base}
    if as_json:
        print_json(
            {
                "calibration": found.calibration.model_dump(mode="json"),
                "fitted": found.fitted,
                "judged": found.judged,
                **{name: one.figures() for name, one in judged.items()},
            }
        )
        return
    names = {"before": "before", "after": "after", "base": "one rate for all"}
    rows = ((names[name], f"{one.error:.5f}", f"{one.log_loss:.6f}") for name, one in judged.items())
    title = f"{found.judged:,} impressions, later than the {found.fitted:,} that it was fitted on"
    OUT.print(table(title, ("click rates", "calibration error", "log loss"), rows))
