"""What all tests share: asynchronous tests run on asyncio; a busy machine is no failure of a property."""

import pytest
from hypothesis import settings

settings.register_profile("hearth", deadline=None)
settings.load_profile("hearth")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
