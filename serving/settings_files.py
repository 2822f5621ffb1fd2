"""Settings that a server reads from files, and goes on reading while it runs: placements, API keys, a certificate."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feature_store.errors import BadInput
from feature_store.faults import faults_of
from serving.access.certificate import context_of
from serving.access.keys import ApiKeys, parse_keys
from serving.config import ServingConfig
from serving.metrics import Metrics
from serving.placements.file import parse_placements
from serving.placements.settings import Placement
from serving.watched_file import WatchedFile


@dataclass(frozen=True, slots=True, eq=False)
class SettingsFiles:
    """What the files hold now. What is configured without a file is as it was at the start.

    keys: None where nobody needs one.
    placements_file: None where placements are configured without one.
    certificate: what handshakes are answered with; None where there is no HTTPS.
    watched: the files.
    """

    placements: Callable[[], Mapping[str, Placement]]
    keys: Callable[[], ApiKeys] | None
    placements_file: WatchedFile[Mapping[str, Placement]] | None
    certificate: WatchedFile[ssl.SSLContext] | None
    watched: tuple[WatchedFile[Any], ...]

    def verticals(self) -> set[str]:
        """Those that a placement shows now."""
        return verticals_of(self.placements())

    def checks(self) -> dict[str, object]:
        """For `/readyz`, of each file: whether its present content is used, and if not, the name of the error."""
        return {
            file.what: {"status": "ok"} if file.failure is None else {"status": "stale", "reason": file.failure}
            for file in self.watched
        }


def verticals_of(placements: Mapping[str, Placement]) -> set[str]:
    """Those that some placement shows."""
    return {placement.vertical for placement in placements.values() if placement.vertical}


def read_files(config: ServingConfig, metrics: Metrics) -> SettingsFiles:
    """What is configured, for the start of a server.

    Raises:
        HearthError: a file does not hold what it should; the message names it.
        OSError: it cannot be read.
    """
    placements = keys = certificate = None
    if config.placements_file is not None:
        parse = partial(_parse_fitting, config)
        placements = WatchedFile(config.placements_file, parse, "placements", metrics.file_loads)
    if config.api_keys is not None:
        keys = WatchedFile(config.api_keys, parse_keys, "api-keys", metrics.file_loads)
    if config.certificate is not None and config.certificate_key is not None:
        certificate = _watched_certificate(config.certificate, config.certificate_key, metrics)
    return SettingsFiles(
        (lambda: config.placements) if placements is None else (lambda: placements.value),
        None if keys is None else (lambda: keys.value),
        placements,
        certificate,
        tuple(file for file in (placements, keys, certificate) if file is not None),
    )


def _watched_certificate(certificate: Path, key: Path, metrics: Metrics) -> WatchedFile[ssl.SSLContext]:
    return WatchedFile(
        certificate, lambda file, _: context_of(file, key), "certificate", metrics.file_loads, beside=[key]
    )


def _parse_fitting(config: ServingConfig, file: Path, content: bytes) -> Mapping[str, Placement]:
    """The placements of that file, where they fit to all else that is configured, as those of the config have to."""
    placements = parse_placements(file, content)
    try:
        return ServingConfig(**{**dict(config), "placements": placements, "placements_file": None}).placements
    except ValidationError as error:
        raise BadInput(f"{file} does not fit to the configuration: {faults_of(error)}") from None
