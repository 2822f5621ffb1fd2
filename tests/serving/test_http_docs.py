"""The pages that describe the API: its own, and those in docs."""

import re

from serving.metrics import create_metrics
from tests.serving.running import ROOT, Server

PAGES = "".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))


def test_the_page_of_the_api_loads_nothing_from_elsewhere(server: Server) -> None:
    """A cell's page calls nobody: every script, style and icon comes from the cell itself, and is there."""
    page = server.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*['"]([^'"]+)""", page.text)
    assert {"/docs-assets/swagger-ui-bundle.js", "/docs-assets/swagger-ui.css", "/openapi.json"} <= set(links)
    assert all(link.startswith("/") and not link.startswith("//") for link in links)
    assert [server.client.get(link).status_code for link in links] == [200] * len(links)


def test_every_problem_that_the_api_describes_has_a_row_in_the_pages() -> None:
    described = set(re.findall(r"/problems/[a-z-]+", (ROOT / "docs" / "openapi.json").read_text()))
    assert len(described) > 20
    assert {problem for problem in described if f"| `{problem}` |" not in PAGES} == set()


def test_every_metric_stands_in_the_pages() -> None:
    names = {family.name for family in create_metrics().registry.collect()}
    assert {name for name in names if name.startswith("hearth_") and name not in PAGES} == set()
