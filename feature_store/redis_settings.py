"""How the Redis of an edge cell is reached: one frozen value, whose password no error and no log shows."""

import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from feature_store.errors import BadInput, CorruptCheckpoint
from feature_store.regular_file import read_regular

PASSWORD_VARIABLE = "HEARTH_REDIS_PASSWORD"  # noqa: S105 - the name of a variable
_LARGEST_PASSWORD = 4096


class RedisSettings(BaseModel):
    """Where the server is, who we are to it, and how long we try.

    >>> RedisSettings(url="rediss://cell.example:6380/2").place
    'rediss://cell.example:6380/2'
    """

    # What is wrong with a URL is said without the URL: it may have a password in it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(description="redis://host:port/db, rediss://host:port/db (TLS) or unix:///path; no password in it")
    username: str | None = Field(default=None, min_length=1, description="an ACL user; absent: the default user")
    password: SecretStr | None = Field(default=None, description="of a program; a file has password_file instead")
    password_file: Path | None = Field(
        default=None, description="holds the password, for its owner's eyes only; see with_password"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of who may sign the server's certificate; absent: the system's authorities"
    )
    certificate_file: Path | None = Field(default=None, description="PEM file of our own certificate, with key_file")
    key_file: Path | None = Field(default=None, description="PEM file of that certificate's private key")
    cluster: bool = Field(default=False, description="a Redis Cluster, of which the URL names any node")
    connections: int = Field(default=32, ge=1, le=10_000, description="at most so many at once, to each node")
    connect_seconds: float = Field(default=2.0, gt=0, allow_inf_nan=False, description="of that to reach the server")
    timeout_seconds: float = Field(
        default=2.0, gt=0, allow_inf_nan=False, description="for one reply, and for connecting before it"
    )
    retries: int = Field(
        default=4, ge=0, le=100, description="after the first attempt: lost connections, fail-overs, a server loading"
    )
    backoff_seconds: float = Field(default=0.05, ge=0, allow_inf_nan=False, description="of the first wait, at most")
    longest_backoff_seconds: float = Field(default=1.0, ge=0, allow_inf_nan=False, description="of any wait")
    expires_after: float | None = Field(
        default=None,
        ge=0.001,
        le=1e10,
        description="seconds after which a person whom nothing was written of is gone; absent: never",
    )
    wait_replicas: int = Field(default=0, ge=0, description="a write is done when so many replicas have it too")
    rewrite_after: float | None = Field(
        default=60.0,
        ge=0,
        allow_inf_nan=False,
        description="seconds after an erasure when Redis writes its files anew, without it; absent: when it likes",
    )

    @field_validator("url")
    @classmethod
    def _says_where_alone(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("is no URL") from None
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise ValueError("has no user or password in it: those are settings of their own")
        if parts.query or parts.fragment:
            raise ValueError("has nothing behind ? or #: timeouts and the like are settings of their own")
        if parts.scheme == "unix":
            fits = not parts.netloc and parts.path.startswith("/") and len(parts.path) > 1
        else:
            fits = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and port != 0
            fits = fits and (parts.path in {"", "/"} or parts.path[1:].isdecimal())
        if not fits:
            raise ValueError("is redis://host:port/db, rediss://host:port/db or unix:///path")
        return url

    @model_validator(mode="after")
    def _parts_fit(self) -> "RedisSettings":
        tls = (self.ca_file, self.certificate_file, self.key_file)
        if self.scheme != "rediss" and any(tls):
            raise ValueError("ca_file, certificate_file and key_file are for rediss:// alone")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.cluster and (self.scheme == "unix" or self.database):
            raise ValueError("a cluster is reached over TCP, and has database 0 alone")
        if self.password and self.password_file:
            raise ValueError("a password and a password_file are two passwords")
        return self

    @property
    def place(self) -> str:
        """The server, for errors and logs."""
        return self.url

    @property
    def scheme(self) -> str:
        """`redis`, `rediss` or `unix`."""
        return self._parts.scheme

    @property
    def host(self) -> str:
        """Of the server, or of one of the cluster."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """Of the server; Redis's own where the URL has none."""
        return self._parts.port or 6379

    @property
    def path(self) -> str:
        """Of the Unix socket."""
        return self._parts.path

    @property
    def database(self) -> int:
        """The number of the database; a Unix socket's is 0."""
        return 0 if self.scheme == "unix" else int(self._parts.path[1:] or 0)

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)


def with_password(settings: RedisSettings, variable: str = PASSWORD_VARIABLE) -> RedisSettings:
    """The settings with their password at hand: their own, else their file's, else the environment's if it has one.

    Raises:
        BadInput: there is a username and no password, or the file or the variable holds none.
    """
    if settings.password is not None:
        return settings
    if settings.password_file is not None:
        found = password_from_file(settings.password_file)
    elif variable in os.environ:
        found = password_from_environment(variable)
    elif settings.username:
        raise BadInput(
            f"the user {settings.username!r} of {settings.place} needs a password: "
            f"name a password_file, or set {variable}"
        )
    else:
        return settings
    return settings.model_copy(update={"password": found, "password_file": None})


def password_from_file(path: Path) -> SecretStr:
    """The password that a file holds, without the white space around it; raises `BadInput`."""
    try:
        if path.stat().st_mode & 0o007:
            raise BadInput(f"the password file {path} can be read by everybody: chmod 600 {path}")
        content = read_regular(path, _LARGEST_PASSWORD)
    except (OSError, CorruptCheckpoint) as error:
        raise BadInput(f"{path} is no password file: {error}") from error
    try:
        return _password(content.decode(), str(path))
    except UnicodeDecodeError:
        raise BadInput(f"the password file {path} is not text in UTF-8") from None


def password_from_environment(variable: str = PASSWORD_VARIABLE) -> SecretStr:
    """The password of an environment variable; raises `BadInput` where it is not set or empty."""
    if variable not in os.environ:
        raise BadInput(f"the environment variable {variable} is not set; it holds the password of Redis")
    return _password(os.environ[variable], variable)


def _password(text: str, where: str) -> SecretStr:
    if not text.strip():
        raise BadInput(f"{where} holds no password")
    return SecretStr(text.strip())
