"""What all tests share: asynchronous tests run on asyncio; a busy machine is no failure of a property."""

import signal

import pytest
from hypothesis import settings

settings.register_profile("hearth", deadline=None)
settings.load_profile("hearth")

# A shell starts what runs in its background with SIGINT ignored, and every process of a test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
