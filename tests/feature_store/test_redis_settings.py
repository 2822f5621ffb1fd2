"""Settings of a Redis: what a URL may say, and that a password is never shown."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from feature_store.errors import BadInput
from feature_store.redis_settings import (
    PASSWORD_VARIABLE,
    RedisSettings,
    password_from_environment,
    password_from_file,
    with_password,
)


def test_a_url_says_where_the_server_is() -> None:
    tcp = RedisSettings(url="redis://cell.example:6380/2")
    assert (tcp.scheme, tcp.host, tcp.port, tcp.database) == ("redis", "cell.example", 6380, 2)
    tls = RedisSettings(url="rediss://[::1]", ca_file=Path("ca.pem"))
    assert (tls.scheme, tls.host, tls.port, tls.database) == ("rediss", "::1", 6379, 0)
    socket = RedisSettings(url="unix:///run/redis.sock")
    assert (socket.scheme, socket.path, socket.database) == ("unix", "/run/redis.sock", 0)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hidden@cell.example",
        "redis://:hidden@cell.example",
        "redis://hidden@cell.example",
        "redis://cell.example?password=hidden",
        "redis://cell.example#hidden",
        "http://hidden",
        "redis://hidden:port",
        "redis://cell.example/hidden",
        "redis:///hidden",
        "unix://hidden/socket",
        "unix:///",
        "redis://[hidden",
        "hidden",
    ],
)
def test_a_url_that_says_more_or_less_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValidationError, match="url") as refused:
        RedisSettings(url=url)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"cluster": True, "url": "unix:///run/redis.sock"}, "a cluster is reached over TCP"),
        ({"cluster": True, "url": "redis://cell.example/1"}, "database 0 alone"),
        ({"ca_file": "ca.pem"}, "for rediss:// alone"),
        ({"url": "rediss://cell.example", "key_file": "key.pem"}, "go together"),
        ({"password": "x", "password_file": "redis.password"}, "two passwords"),
        ({"retries": -1}, "retries"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"expires_after": 0}, "expires_after"),
        ({"pasword": "x"}, "pasword"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RedisSettings(**{"url": "redis://cell.example", **options})


def test_a_password_comes_from_a_file_or_the_environment_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("  of the cell\n")
    file.chmod(0o600)
    monkeypatch.setenv(PASSWORD_VARIABLE, "of the cell\n")
    for password in (password_from_file(file), password_from_environment()):
        assert password.get_secret_value() == "of the cell"
        settings = RedisSettings(url="redis://cell.example", username="cell", password=password)
        assert "of the cell" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    file.chmod(0o604)
    with pytest.raises(BadInput, match="can be read by everybody"):
        password_from_file(file)
    file.chmod(0o600)
    file.write_bytes(b"\xff of the cell")
    with pytest.raises(BadInput, match="not text in UTF-8"):
        password_from_file(file)
    file.write_text(" \n")
    with pytest.raises(BadInput, match="holds no password"):
        password_from_file(file)
    with pytest.raises(BadInput, match="is no password file"):
        password_from_file(tmp_path / "missing")
    monkeypatch.delenv(PASSWORD_VARIABLE)
    with pytest.raises(BadInput, match=f"{PASSWORD_VARIABLE} is not set"):
        password_from_environment()
    assert RedisSettings(url="redis://cell.example", password=SecretStr("x")).username is None


def test_settings_get_their_own_password_else_that_of_their_file_else_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    file = tmp_path / "password"
    file.write_text("of the file\n")
    file.chmod(0o600)
    plain = RedisSettings(url="redis://cell.example")
    of_file = RedisSettings(url="redis://cell.example", password_file=file)
    own = RedisSettings(url="redis://cell.example", password=SecretStr("our own"))
    assert with_password(plain) == plain
    with pytest.raises(BadInput, match=f"'cell' of redis://cell.example needs a password: .*{PASSWORD_VARIABLE}"):
        with_password(RedisSettings(url="redis://cell.example", username="cell"))
    monkeypatch.setenv(PASSWORD_VARIABLE, "of the environment")
    found = [with_password(settings).password for settings in (plain, of_file, own)]
    assert [one.get_secret_value() for one in found if one] == ["of the environment", "of the file", "our own"]
