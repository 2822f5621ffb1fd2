"""Clients of redis-py, as the settings of a cell's Redis ask for them."""

import os
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from feature_store.errors import BadInput
from feature_store.redis_settings import RedisSettings


def client_of(settings: RedisSettings) -> "Redis | RedisCluster":
    """A client, which has sent nothing yet; the caller closes it.

    Raises:
        BadInput: a file for TLS cannot be read.
    """
    return _cluster(settings) if settings.cluster else Redis.from_pool(_pool(settings))


def _pool(settings: RedisSettings) -> ConnectionPool:
    options = _options(settings) | {"socket_timeout": None}  # we watch the time ourselves
    if settings.scheme == "unix":
        options["path"] = settings.path
        kind: type[Connection | UnixDomainSocketConnection] = UnixDomainSocketConnection
    else:
        options |= {"host": settings.host, "port": settings.port}
        kind = Connection
        if settings.scheme == "rediss":
            kind = SSLConnection
            options |= _tls(settings)
    return ConnectionPool(
        max_connections=settings.connections,
        connection_class=kind,
        db=settings.database,
        **options,
    )


def _cluster(settings: RedisSettings) -> RedisCluster:
    secured = settings.scheme == "rediss"
    return RedisCluster(
        host=settings.host,
        port=settings.port,
        max_connections=settings.connections,
        ssl=secured,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **_options(settings),
        **(_tls(settings) if secured else {}),
    )


def _options(settings: RedisSettings) -> dict[str, Any]:
    return {
        "username": settings.username,
        "password": settings.password.get_secret_value() if settings.password else None,
        "socket_timeout": settings.timeout_seconds,
        "socket_connect_timeout": settings.connect_seconds,
        "protocol": 2,  # the one that every Redis speaks without being asked
        "retry": Retry(NoBackoff(), 0),  # attempts are ours to count
        "driver_info": None,  # CLIENT SETINFO came with Redis 7.2, and an ACL would have to allow it
    }


def _tls(settings: RedisSettings) -> dict[str, Any]:
    files = {
        "ssl_ca_certs": settings.ca_file,
        "ssl_certfile": settings.certificate_file,
        "ssl_keyfile": settings.key_file,
    }
    for file in filter(None, files.values()):  # or it would be found out as a server that cannot be reached
        if not os.access(file, os.R_OK):
            raise BadInput(f"the file {file}, for TLS to the Redis at {settings.place}, cannot be read")
    paths = {name: None if file is None else str(file) for name, file in files.items()}
    return {**paths, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
