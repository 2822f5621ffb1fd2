"""The figures of `benchmarks.communication` as a drawing: NDCG@20 against the bytes that a cell has sent so far."""

from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from feature_store.durable import replace


def draw_communication(figures: dict[str, Any], path: Path) -> None:
    """Write an SVG file; the same figures give the same bytes."""
    with rc_context({"svg.hashsalt": "hearth", "font.size": 9}):
        figure = Figure(figsize=(8, 4.2), layout="constrained")
        axes = figure.subplots()
        for way in figures["ways"]:
            sent = [point["uplink_bytes"] / 1e6 for point in way["curve"]]
            axes.semilogx(sent, [point["ndcg@20"] for point in way["curve"]], ".-", label=way["way"])
        enough = figures["enough"] * figures["centralised_ndcg@20"]
        axes.axhline(enough, linestyle=":", color="black")
        axes.set(
            xlabel="megabytes that a cell has sent",
            ylabel=f"test NDCG@20 (dotted: {figures['enough']:.0%} of centralised)",
            ylim=(enough * 0.75, None),
        )
        axes.legend(frameon=False)
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    replace(path, drawn.getvalue())
