"""Where a federation elsewhere is, as its centre's pods share it."""

from pathlib import Path

from hearth.retraining.place import place_elsewhere
from hearth.retraining.settings import read_retraining_settings


def test_what_another_pod_is_told_of_is_named_as_it_was_given_and_not_where_a_link_leads_here(tmp_path: Path) -> None:
    # A mounted secret or ConfigMap: its files are links into a folder that has another name in each pod.
    (tmp_path / "..2026_11_23").mkdir()
    for name in ("signing-key.pem", "items.csv", "authority.pem"):
        (tmp_path / "..2026_11_23" / name).write_text("")
        (tmp_path / name).symlink_to(Path("..2026_11_23") / name)
    place = place_elsewhere(
        "superlink:9092", tmp_path / "authority.pem", "models", tmp_path / "signing-key.pem", tmp_path / "centre"
    )
    settings = read_retraining_settings(None, {"items": tmp_path / "items.csv", "cells": 3})
    request = settings.request(place.registry, place.signing_key, place.state, 3)
    assert request.signing_key == tmp_path / "signing-key.pem"
    assert request.catalogue == tmp_path / "items.csv"
    assert Path(request.registry).is_absolute()
