"""`hearth ads calibrate`: a log in, a calibration and a diagram out, and what is wrong said in a line."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from serving.ads.calibration import read_calibration
from tests.hearth.command import Command, Ended


@pytest.fixture(scope="module")
def hearth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ended]]:
    with Command(tmp_path_factory.mktemp("home")).server() as run:
        yield run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=4000)
    clicked = rng.random(4000) < 1 / (1 + np.exp(2 - scores))
    lines = [f"ad-{n % 7},{n},{int(clicked[n])},{1 + n % 2},{scores[n]:.4f}" for n in range(4000)]
    path = tmp_path / "impressions.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["item_id,timestamp,clicked,position,guess", *lines]).encode()))
    return path


def test_a_log_becomes_a_calibration_with_figures_and_a_diagram(
    hearth: Callable[..., Ended], log: Path, tmp_path: Path
) -> None:
    output, plot = tmp_path / "calibration.json", tmp_path / "plot.svg"
    options = ("--output", output, "--score", "guess", "--method", "platt", "--plot", plot)
    told = hearth("ads", "calibrate", log, *options, "--json").json()
    assert (told["fitted"], told["judged"]) == (2800, 1200)
    assert told["after"]["log_loss"] < told["base"]["log_loss"] < told["before"]["log_loss"]
    found = read_calibration(output)
    assert (found.of, found.method) == ("model", "platt")
    assert (found.slope, found.intercept) == (pytest.approx(1, abs=0.2), pytest.approx(-2, abs=0.3))
    drawn = ET.fromstring(plot.read_bytes())  # noqa: S314 - our own file
    dots = [one for one in drawn.iter("{http://www.w3.org/2000/svg}circle") if one.get("class") == "after"]
    assert len(dots) == len(told["after"]["bins"]) + 1  # and the one of the key

    shown = hearth("ads", "calibrate", log, "--output", output, "--prior-shows", "50")
    assert "one rate for all" in shown.stdout
    assert (read_calibration(output).of, read_calibration(output).prior_shows) == ("rate", 50.0)


def test_what_is_wrong_with_a_log_or_an_option_is_said(hearth: Callable[..., Ended], log: Path, tmp_path: Path) -> None:
    output = tmp_path / "calibration.json"
    assert "no column 'rank'" in hearth("ads", "calibrate", log, "--output", output, "--score", "rank").error()
    wrong = hearth("ads", "calibrate", log, "--output", output, "--prior-clicks", "100").error()
    assert "--prior-clicks (100) are fewer than --prior-shows (100)" in wrong
    assert not output.exists()
