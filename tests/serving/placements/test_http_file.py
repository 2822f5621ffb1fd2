"""A file of placements that changes under a server."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feature_store.durable import replace
from serving.placements.file import parse_placements
from tests.serving.published import Publisher, draft
from tests.serving.running import PATIENCE, ROOT, Server, config_of, started, until


def check(server: Server) -> Any:
    return server.client.get("/readyz").json()["checks"]["placements"]


def test_placements_come_change_and_go_with_the_file_and_a_broken_file_changes_nothing(
    publisher: Publisher, tmp_path: Path
) -> None:
    file = tmp_path / "placements.toml"
    replace(file, b"[start]\n[shelf]\n")
    model_id = publisher.publish(draft(1))
    with started(config_of(publisher, placements_file=file), tmp_path) as server:
        server.serves(model_id)
        assert [server.recommend(name).status_code for name in ("start", "shelf", "home")] == [200, 200, 404]
        assert check(server) == {"status": "ok"}

        replace(file, b'[start]\nrules = [{when = {item_id = ["item-3"]}, then = "promote", position = 1}]\n[wall]\n')
        until(lambda: server.recommend("wall").status_code == 200, server.log)
        assert server.recommend("start").json()["items"][0]["item_id"] == "item-3"
        assert server.recommend("shelf").status_code == 404

        replace(file, b"[start]\ncolour = 'red'\n")
        until(lambda: check(server) == {"status": "stale", "reason": "BadInput"}, server.log)
        said = server.logged("file not used; what it held before stays")
        assert "placements.toml" in said[0]["detail"]
        assert "start.colour" in said[0]["detail"]
        assert server.recommend("start").json()["items"][0]["item_id"] == "item-3"
        assert server.metric('hearth_file_loads_total{file="placements",outcome="failure"}') == 1
        assert server.client.get("/readyz").status_code == 200

        replace(file, b"start = " + b"[" * 50_000)
        assert "nested too deeply" in server.logged("file not used; what it held before stays", 2)[1]["detail"]
        assert server.recommend("start").json()["items"][0]["item_id"] == "item-3"

        replace(file, b"[wall]\n")
        until(lambda: check(server) == {"status": "ok"}, server.log)
        assert [server.recommend(name).status_code for name in ("start", "wall")] == [404, 200]
        counted = 'hearth_requests_total{placement="wall",route="/v1/placements/{placement}:recommend",status="200"}'
        assert server.metric(counted) == 2


@pytest.mark.parametrize(("content", "said"), [("[start]\ncaps = 3\n", "start.caps"), (None, "No such file")])
def test_a_server_does_not_start_on_a_file_that_cannot_be_used(
    publisher: Publisher, tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "placements.toml"
    if content is not None:
        file.write_text(content)
    config = tmp_path / "serving.json"
    config.write_text(config_of(publisher, placements_file=file).model_dump_json())
    command = [sys.executable, "-m", "serving", str(config)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_examples_can_be_used() -> None:
    files = sorted((ROOT / "examples" / "placements").glob("*.toml"))
    assert files
    for example in files:
        assert parse_placements(example, example.read_bytes())
