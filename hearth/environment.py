"""The environment: the one place that reads it. Everything further in is told what it needs.

    HEARTH_CACHE          folder for data sets                   default: the user's cache folder
    HEARTH_SIGNING_KEY    PEM file of the key that signs         default: in the user's configuration folder
    HEARTH_STORE_KEY      the keys that the store is sealed     default: a file in the user's configuration folder
                          with, in base64
    HEARTH_REDIS_PASSWORD the password of Redis                  default: none, or in --redis-settings a password_file
    HEARTH_REGISTRY       place of the checkpoint registry       default: none; --registry names it
    HEARTH_FEDERATION_ADDRESS    where the SuperLink listens         default: none; --superlink names it
    HEARTH_FEDERATION_AUTHORITY  the certificate that signed its own default: none; --authority names it
    HEARTH_FEDERATION_CENTRE     the folder of requests              default: none; --centre names it
    HEARTH_ACTOR          who promotes, for the registry's trail default: the account, as user@machine

An option on the command line goes before its variable. In a pod, Kubernetes itself sets KUBERNETES_SERVICE_HOST and
KUBERNETES_SERVICE_PORT.
"""

import os
from pathlib import Path

import platformdirs

from feature_store.errors import BadInput

REGISTRY = "HEARTH_REGISTRY"
CACHE = "HEARTH_CACHE"
ACTOR = "HEARTH_ACTOR"
FEDERATION_ADDRESS = "HEARTH_FEDERATION_ADDRESS"
FEDERATION_AUTHORITY = "HEARTH_FEDERATION_AUTHORITY"
FEDERATION_CENTRE = "HEARTH_FEDERATION_CENTRE"
SIGNING_KEY = "HEARTH_SIGNING_KEY"
STORE_KEY = "HEARTH_STORE_KEY"
REDIS_PASSWORD = "HEARTH_REDIS_PASSWORD"  # noqa: S105 - the name of a variable


def cache_folder() -> Path:
    """Where data sets are kept."""
    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("hearth"))


def signing_key_file() -> Path:
    """Where the user's signing key is; it is made there when it is first needed."""
    return Path(os.environ.get(SIGNING_KEY) or Path(platformdirs.user_config_dir("hearth")) / "signing-key.pem")


def holds_store_keys() -> bool:
    """Whether the keys of the user's stores are in the environment themselves."""
    return STORE_KEY in os.environ


def store_keys_file() -> Path:
    """Where the keys of the user's stores are; one is made there when it is first needed."""
    return Path(platformdirs.user_config_dir("hearth")) / "store.keys"


def cluster() -> tuple[str, str]:
    """Host and port of the API of the cluster that this pod is in; raises `BadInput` where this is none."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise BadInput(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is for a pod of a cluster"
        )
    return host, port
