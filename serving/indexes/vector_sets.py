"""The index in Redis: vector sets of one or more servers (Redis 8), for a catalogue beyond one machine's memory.

    <name>:items                 a vector set: an HNSW graph of the shard's items, at eight bits a number
    <name>:block:<number>        the float32 vectors of 1,024 of the shard's items, one after the other

Row r lies on shard r mod shards, and each shard proposes its best. A vector set knows cosines alone: each vector gets
one number more, so that all are as long as the longest, M, and the query a zero; then cosines are in the order of
products (Bachrach et al. 2014, section 3.1): x' = (x, √(M² − |x|²)) / M, q' = (q, 0) / |q|.

What is proposed is scored again by the float32 vectors, which are read for it. Who may be shown what is not known to
Redis: more is asked for by as much as is excluded, few eligible items are all read, and where too few were proposed
everything is.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from redis import Redis, RedisError

from feature_store.arrays import BoolArray, Float32Array, Int32Array
from feature_store.errors import StoreUnavailable
from serving.candidates import Candidates
from serving.indexes.item_matrix import ItemMatrix, in_one_piece, length, require_question

_BLOCK = 1024  # rows
_AT_A_TIME = 500  # commands in one go
_FEW = 2_000  # eligible items; so many are read whole before a search would be done
_MOST = 20_000  # items that a shard is asked for
_MORE = 100  # items above k, at least, among which the k best are to be
_EXPLORED = 1_000  # nodes of the graph that a search keeps in view, at least


class VectorSetIndex:
    """Items in Redis.

    shards: a connection to each server; replies are bytes.
    name: what all keys begin with.
    items, dim: of the matrix that was put there.
    longest: the largest norm of a row.
    """

    kind: Final = "vector sets"
    __slots__ = ("_dim", "_items", "_longest", "_name", "_shards")

    def __init__(self, shards: Sequence[Redis], name: str, items: int, dim: int, longest: float) -> None:
        self._shards, self._name = tuple(shards), name
        self._items, self._dim, self._longest = items, dim, longest

    @classmethod
    def of(cls, vectors: Float32Array, shards: Sequence[Redis], name: str) -> "VectorSetIndex":
        """Put these vectors there, in place of what has that name; raises `StoreUnavailable`."""
        matrix = ItemMatrix.of(vectors)
        index = cls(shards, name, len(matrix), matrix.dim, matrix.longest)
        for number, shard in enumerate(index._shards):
            rows = np.arange(number, len(matrix), len(index._shards), dtype=np.int32)
            index._forget(shard)
            for first in range(0, len(rows), _BLOCK):
                index._put(shard, first // _BLOCK, rows[first : first + _BLOCK], matrix)
        return index

    def retrieve(self, query: Float32Array, k: int, eligible: BoolArray) -> Candidates:
        """As `ItemIndex` has it; raises `StoreUnavailable`."""
        require_question(self._items, self._dim, query, k, eligible)
        query = in_one_piece(query)
        there = int(np.count_nonzero(eligible))
        rows: Int32Array = np.flatnonzero(eligible).astype(np.int32)
        if there > _FEW:
            proposed = self._proposed(query, k, there, eligible)
            rows = proposed if len(proposed) >= min(k, there) else rows
        best = ItemMatrix(self._vectors(rows), self._longest).best(np.arange(len(rows), dtype=np.int32), query, k)
        return Candidates(rows[best.places], best.scores, best.source)

    def _proposed(self, query: Float32Array, k: int, there: int, eligible: BoolArray) -> Int32Array:
        """Eligible rows that the shards think best, ascending; fewer than k where they know of no more."""
        wanted = min(there, k + max(_MORE, k // 2))
        count = int(1.2 * wanted * self._items / there) + 1
        while True:
            found = [row for shard in self._shards for row in self._nearest(shard, query, count)]
            rows = np.unique(np.array(found, np.int32))
            rows = rows[eligible[rows]]
            if len(rows) >= wanted or count >= min(self._items, _MOST):
                return rows
            count = min(2 * count, _MOST)

    def _nearest(self, shard: Redis, query: Float32Array, count: int) -> list[int]:
        norm = length(query)
        direction = np.append(query.astype(np.float64) / norm if norm else np.zeros(self._dim), 0.0 if norm else 1.0)
        asked = ("FP32", direction.astype(np.float32).tobytes(), "COUNT", count, "EF", max(_EXPLORED, 2 * count))
        [reply] = self._told(shard, [("VSIM", f"{self._name}:items", *asked)])
        return [int(element) for element in reply]

    def _vectors(self, rows: Int32Array) -> Float32Array:
        """The float32 vectors of these rows, shape (n, dim)."""
        result = np.empty((len(rows), self._dim), np.float32)
        width = 4 * self._dim
        for number, shard in enumerate(self._shards):
            mine = np.flatnonzero(rows % len(self._shards) == number)
            blocks, places = np.divmod(rows[mine] // len(self._shards), _BLOCK)
            reads = [
                ("GETRANGE", f"{self._name}:block:{block}", place * width, (place + 1) * width - 1)
                for block, place in zip(blocks.tolist(), places.tolist(), strict=True)
            ]
            for at, read in zip(mine.tolist(), self._told(shard, reads), strict=True):
                if len(read) != width:
                    raise StoreUnavailable(f"the index {self._name} in Redis has lost row {rows[at]}")
                result[at] = np.frombuffer(read, np.float32)
        return result

    def _put(self, shard: Redis, number: int, rows: Int32Array, matrix: ItemMatrix) -> None:
        vectors = matrix.vectors[rows]
        scale = matrix.longest or 1.0
        within = vectors.astype(np.float64) / scale
        rest = np.sqrt(np.maximum(0.0, 1.0 - np.einsum("id,id->i", within, within)))
        longer = np.column_stack([within, rest]).astype(np.float32)
        adds: list[tuple[Any, ...]] = [
            ("VADD", f"{self._name}:items", "FP32", vector.tobytes(), str(row))
            for row, vector in zip(rows.tolist(), longer, strict=True)
        ]
        self._told(shard, [("SET", f"{self._name}:block:{number}", vectors.tobytes()), *adds])

    def _forget(self, shard: Redis) -> None:
        try:
            keys = list(shard.scan_iter(match=f"{self._name}:*"))
        except RedisError as error:
            raise StoreUnavailable(f"the index {self._name} in Redis did not answer: {error}") from error
        self._told(shard, [("UNLINK", key) for key in keys])

    def _told(self, shard: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies to these commands, which go out many at a time."""
        replies: list[Any] = []
        try:
            for first in range(0, len(commands), _AT_A_TIME):
                pipe: Any = shard.pipeline(transaction=False)  # untyped, as redis-py has it
                for command in commands[first : first + _AT_A_TIME]:
                    pipe.execute_command(*command)
                replies += pipe.execute()
        except RedisError as error:
            raise StoreUnavailable(f"the index {self._name} in Redis did not answer: {error}") from error
        return replies
