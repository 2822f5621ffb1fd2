"""What a configuration says of access."""

from typing import Any

import pytest
from pydantic import ValidationError

from serving.config import ServingConfig, is_loopback

NEEDED: dict[str, Any] = {"registry": "models", "trusted_keys": ["training.pem"]}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_who_listens_on_this_machine_alone_needs_no_keys(host: str) -> None:
    assert is_loopback(host)
    assert ServingConfig(**NEEDED, host=host).api_keys is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "cell.example", "localhost.example"])  # noqa: S104 - of which some are refused
def test_who_listens_where_others_are_needs_keys_or_says_that_it_needs_none(host: str) -> None:
    with pytest.raises(ValidationError, match="name api_keys, or say open_to_all"):
        ServingConfig(**NEEDED, host=host)
    assert ServingConfig(**NEEDED, host=host, open_to_all=True).host == host
    assert ServingConfig(**NEEDED, host=host, api_keys="keys.toml").host == host


@pytest.mark.parametrize("alone", ["certificate", "certificate_key"])
def test_a_certificate_and_its_key_go_together(alone: str) -> None:
    with pytest.raises(ValidationError, match="go together"):
        ServingConfig(**NEEDED, **{alone: "a.pem"})
