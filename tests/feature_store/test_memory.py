"""The in-memory stores keep the contract."""

import pytest

from feature_store.memory import open_memory
from feature_store.stores import LocalStores
from tests.feature_store.embedding_store_contract import UserEmbeddingStoreContract
from tests.feature_store.event_store_contract import EventStoreContract
from tests.feature_store.rights_contract import RightsContract


class TestInMemoryStores(EventStoreContract, UserEmbeddingStoreContract, RightsContract):
    @pytest.fixture
    def stores(self) -> LocalStores:
        return open_memory()
