"""The figures of `benchmarks.scale` as a drawing: seconds and memory by population, both axes logarithmic."""

from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from feature_store.durable import replace


def draw_scale(figures: dict[str, Any], path: Path) -> None:
    """Write an SVG file; the same figures give the same bytes."""
    populations = figures["populations"]
    people = [population["people"] for population in populations]
    seconds = [population["client_seconds"] for population in populations]
    worked = [population["client_cpu_seconds"] for population in populations]
    whole = [population["client_seconds"] + population["server_seconds"] for population in populations]
    with rc_context({"svg.hashsalt": "hearth", "font.size": 9}):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.loglog(people, whole, "s-", color="tab:gray", label="round, server included")
        left.loglog(people, seconds, "o-", color="tab:blue", label="clients")
        left.loglog(people, worked, "o--", color="tab:orange", label="clients, seconds of all cores")
        left.loglog(people, [worked[-1] * n / people[-1] for n in people], ":", color="black", label="linear")
        left.set(xlabel="people", ylabel="seconds a round")
        left.legend(frameon=False)
        right.loglog(people, [population["peak_memory_mb"] for population in populations], "o-", color="tab:blue")
        right.axhline(6000, linestyle=":", color="black")
        right.set(xlabel="people", ylabel="peak memory, MB (dotted: 6 GB)", ylim=(100, 10_000))
        data = figures["data"]
        figure.suptitle(
            f"{data['items']:,} items, dim {data['dim']}, {data['share_of_a_round']:.0%} of the people a round"
        )
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    replace(path, drawn.getvalue())
