"""`hearth bench ads`: calibrated click rates and our ranking of ads, beside the policies that a log was made by."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hearth.commands.options import JsonOption
from hearth.terminal import ERR, OUT, print_json, table, told_steps


def ads(
    data: Annotated[Path, typer.Option(help="The folder of data sets; open_bandit/impressions.csv.gz is read.")],
    as_json: JsonOption = False,
) -> None:
    """Estimate what our ranking would have earned on a log with propensities, and judge its click rates.

    Example: `hearth bench ads --data "$HEARTH_DATA" --json`
    """
    from benchmarks.ads import measure_ads, read_bandit_log
    from hearth.ad_rates import calibration_figures, click_rates_at_the_cut

    log = read_bandit_log(data / "open_bandit" / "impressions.csv.gz")
    with told_steps(ERR) as report:
        calibration = calibration_figures(log, report)
        report("estimating")
        figures = measure_ads(log, click_rates_at_the_cut(log), calibration)
    if as_json:
        print_json(figures)
        return
    show_ads(figures)


def show_ads(figures: dict[str, Any]) -> None:
    """The figures of `benchmarks.ads.measure_ads` as tables."""
    from benchmarks.ads import shown_estimate

    rows = [
        (name, f"{of['calibration_error']:.5f}", f"{of['log_loss']:.6f}") for name, of in figures["calibration"].items()
    ]
    judged = f"{figures['data']['judged']:,} later impressions, {figures['data']['judged_clicks']} clicks"
    OUT.print(table(f"Click rates on {judged}", ("", "calibration error", "log loss"), rows))
    for name, of in figures["policies"].items():
        lines = [("as logged", shown_estimate(of["logged"]), "", "", "")]
        lines += [
            (
                f"ours, {float(chance):.0%} take part",
                shown_estimate(ours["ips"]),
                shown_estimate(ours["snips"]),
                f"{ours['effective_sample']:,.0f}",
                str(ours["rewards_that_count"]),
            )
            for chance, ours in of["ours"].items()
        ]
        columns = ("click rate", "IPS (95 %)", "SNIPS (95 %)", "sample", "clicks")
        OUT.print(table(f"On the log of {name}, {of['impressions']:,} impressions", columns, lines))
    OUT.print(f"{figures['processor']}, {figures['cores']} cores, {figures['date']}: {figures['command']}")
