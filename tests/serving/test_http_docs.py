"""The page that describes the API."""

import re

from tests.serving.running import Server


def test_the_page_of_the_api_loads_nothing_from_elsewhere(server: Server) -> None:
    """A cell's page calls nobody: every script, style and icon comes from the cell itself, and is there."""
    page = server.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*['"]([^'"]+)""", page.text)
    assert {"/docs-assets/swagger-ui-bundle.js", "/docs-assets/swagger-ui.css", "/openapi.json"} <= set(links)
    assert all(link.startswith("/") and not link.startswith("//") for link in links)
    assert [server.client.get(link).status_code for link in links] == [200] * len(links)
