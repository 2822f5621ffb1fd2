"""`python -m serving CONFIG.json`: a server from a file that holds a `ServingConfig`."""

import sys
from pathlib import Path

from pydantic import ValidationError

from feature_store.errors import HearthError
from serving.config import ServingConfig
from serving.process import run


def main(arguments: list[str]) -> str | None:
    """Serve, and give back nothing; where that cannot begin, what is wrong."""
    if len(arguments) != 1:
        return "usage: python -m serving CONFIG.json"
    try:
        config = ServingConfig.model_validate_json(Path(arguments[0]).read_bytes())
        run(config)
    except (HearthError, OSError, ValidationError) as error:
        return f"{arguments[0]}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
