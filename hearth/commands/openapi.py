"""`hearth openapi`: the description of the serving API."""

from hearth.terminal import print_json


def openapi() -> None:
    """Print the description of the API (OpenAPI 3.1), for generators of clients and for reviews.

    Example: `hearth openapi`
    """
    from serving.app import description

    print_json(description())
