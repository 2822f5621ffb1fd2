"""The searches that are compared: our indexes, and beside them what others would take.

Each is built from the vectors and then asked for the best k of what is eligible, one query at a time in one thread.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from redis import Redis

from benchmarks.retrieval_items import Asked
from feature_store.arrays import BoolArray, Float32Array, Int32Array
from serving.indexes.exact import ExactIndex
from serving.indexes.int8 import Int8Index
from serving.indexes.inverted import InvertedIndex
from serving.indexes.item_index import ItemIndex
from serving.indexes.lists import Lists
from serving.indexes.partition import faiss, one_thread
from serving.indexes.vector_sets import VectorSetIndex
from training.tf import tf, tfrs

Find: TypeAlias = Callable[[Float32Array, int, BoolArray], Int32Array]
Elsewhere: TypeAlias = Callable[[], float]

_STREAMED = 4096  # items a batch, as the documentation of `tfrs.layers.factorized_top_k.Streaming` has it
_HNSW_LINKS, _HNSW_KEPT, _HNSW_EXPLORED = 32, 100, 256  # M, efConstruction, efSearch


class Search(NamedTuple):
    """One way of searching, built.

    find: rows of the best, from a query, a number and what is eligible.
    size: bytes beside the float32 matrix.
    filters: whether it can be told what is eligible.
    elsewhere: seconds of CPU that a server of its own has taken so far.
    """

    find: Find
    size: int
    filters: bool = True
    elsewhere: Elsewhere = lambda: 0.0


Build: TypeAlias = Callable[[Asked], Search]


@contextmanager
def searches(redis: str | None) -> Iterator[Mapping[str, Build]]:
    """Ways of searching by name, ours first; "exact", which the others are held against, is the first.

    redis: the address of a server with an empty database; None leaves vector sets out.
    """
    one_thread()
    with ExitStack() as open_:
        builds: dict[str, Build] = {
            "exact": lambda asked: _ours(ExactIndex(asked.vectors), 0),
            "int8": _int8,
            "inverted": _inverted,
            "numpy": lambda asked: Search(lambda *question: _numpy(asked.vectors, *question), 0),
            "faiss flat": _flat,
            "faiss hnsw": _hnsw,
            "tfrs brute force": _brute_force,
            "tfrs streaming": _streaming,
        }
        if redis is not None:
            shard = open_.enter_context(Redis.from_url(redis))
            builds["redis vector set"] = lambda asked: _vector_set(asked, shard)
        yield builds


def _ours(index: ItemIndex, size: int) -> Search:
    return Search(lambda query, k, eligible: index.retrieve(query, k, eligible).places, size)


def _int8(asked: Asked) -> Search:
    index = Int8Index.of(asked.vectors)
    return _ours(index, _bytes(index.lists))


def _inverted(asked: Asked) -> Search:
    index = InvertedIndex.of(asked.vectors, [asked.tuning])
    return _ours(index, _bytes(index.lists))


def _bytes(lists: Lists) -> int:
    return sum(array.nbytes for array in lists)


def _numpy(vectors: Float32Array, query: Float32Array, k: int, eligible: BoolArray) -> Int32Array:
    """As one writes it down: all products, those that are eligible, the k best by a partial sort."""
    products = vectors @ query
    rows = np.flatnonzero(eligible)
    if len(rows) < len(products):
        products = products[rows]
    best = np.argpartition(-products, min(k, len(products)) - 1)[:k] if len(products) else np.empty(0, np.int64)
    result: Int32Array = rows[best[np.argsort(-products[best])]].astype(np.int32)
    return result


def _flat(asked: Asked) -> Search:
    index = faiss.IndexFlatIP(asked.vectors.shape[1])
    index.add(asked.vectors)
    return Search(lambda *question: _of_faiss(index, faiss.SearchParameters, *question), asked.vectors.nbytes)


def _hnsw(asked: Asked) -> Search:
    index = faiss.IndexHNSWFlat(asked.vectors.shape[1], _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _HNSW_KEPT
    index.add(asked.vectors)

    def settings(**only: Any) -> Any:
        return faiss.SearchParametersHNSW(efSearch=_HNSW_EXPLORED, **only)

    links = index.hnsw.neighbors.size() * 4
    return Search(lambda *question: _of_faiss(index, settings, *question), asked.vectors.nbytes + links)


def _of_faiss(index: Any, settings: Callable[..., Any], query: Float32Array, k: int, eligible: BoolArray) -> Int32Array:
    only = None if eligible.all() else faiss.IDSelectorBitmap(np.packbits(eligible, bitorder="little"))
    _, labels = index.search(query[None], k, params=settings() if only is None else settings(sel=only))
    result: Int32Array = labels[0][labels[0] >= 0].astype(np.int32)
    return result


def _brute_force(asked: Asked) -> Search:
    layer = tfrs.layers.factorized_top_k.BruteForce(k=10)
    layer.index(tf.constant(asked.vectors))
    return Search(lambda query, k, _: _of_tfrs(layer, query, k), asked.vectors.nbytes, filters=False)


def _streaming(asked: Asked) -> Search:
    layer = tfrs.layers.factorized_top_k.Streaming(k=10, num_parallel_calls=1)
    layer.index_from_dataset(tf.data.Dataset.from_tensor_slices(asked.vectors).batch(_STREAMED))
    return Search(lambda query, k, _: _of_tfrs(layer, query, k), asked.vectors.nbytes, filters=False)


def _of_tfrs(layer: Any, query: Float32Array, k: int) -> Int32Array:
    _, rows = layer(tf.constant(query[None]), k=k)
    result: Int32Array = rows.numpy()[0].astype(np.int32)
    return result


def _vector_set(asked: Asked, shard: Redis) -> Search:
    before = _redis_bytes(shard)
    index = VectorSetIndex.of(asked.vectors, [shard], "hearth-bench")
    size = _redis_bytes(shard) - before
    return Search(lambda *question: index.retrieve(*question).places, size, elsewhere=lambda: _redis_seconds(shard))


def _redis_bytes(shard: Redis) -> int:
    said: Any = shard.info("memory")
    return int(said["used_memory"])


def _redis_seconds(shard: Redis) -> float:
    said: Any = shard.info("cpu")
    return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])


def tensorflow_in_one_thread() -> None:
    """To be said before TensorFlow computes anything."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def redis_address(folder: Path) -> str:
    """That of the server which `benchmarks.redis_server` starts in the folder."""
    return f"unix://{folder / 'redis.sock'}"
