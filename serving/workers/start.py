"""The start of a worker: what its parent tells it first."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.config import ServingConfig


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker is to do.

    config: of the server; its port is the one that was taken, and its index folder is there.
    number: of the worker, from 0 on.
    private: a folder that is to go with the server; None where there is none.
    """

    config: ServingConfig
    number: int
    private: Path | None = None

    def written(self) -> bytes:
        """As it goes over the socket; passwords are in it."""
        config = self.config.model_dump(mode="json")
        for name in ("redis", "items_redis"):
            settings = getattr(self.config, name)
            if settings is not None and settings.password is not None:
                config[name]["password"] = settings.password.get_secret_value()
        private = None if self.private is None else str(self.private)
        return json.dumps({"config": config, "number": self.number, "private": private}).encode()

    @classmethod
    def read(cls, content: bytes) -> "Start":
        """What was written."""
        said: dict[str, Any] = json.loads(content)
        private = None if said["private"] is None else Path(said["private"])
        return cls(ServingConfig.model_validate_json(json.dumps(said["config"])), said["number"], private)
