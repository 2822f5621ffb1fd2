"""The in-memory stores keep the contract."""

import pytest

from feature_store.memory import open_memory
from feature_store.stores import LocalStores
from tests.feature_store.store_contract import EventStoreContract, RightsContract, UserEmbeddingStoreContract


class TestInMemoryStores(EventStoreContract, UserEmbeddingStoreContract, RightsContract):
    @pytest.fixture
    def stores(self) -> LocalStores:
        return open_memory()
