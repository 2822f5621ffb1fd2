"""A noised vector: what a device may send in place of a user embedding, with the ε that it has stated.

Whatever two vectors a person might have, what is sent is at most e^ε times as likely for the one as for the other
(ε-local differential privacy; `feature_store.vector_noise` has the way there). Each vector that is noised anew costs
its ε again, and they add up: of what is noised ten times, the mean tells much more than any one. So a vector that has
not changed is noised once, and what was sent is sent again: the permanent response of RAPPOR (Erlingsson, Pihur and
Korolova 2014, section 3). Whoever calls keeps it, on the device.

docs/noised-vector.md has what it costs in quality, and what ε does not cover.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.embedding import UserEmbedding
from feature_store.errors import BadInput
from feature_store.vector_noise import NoiseSettings, VectorNoise


@dataclass(frozen=True, slots=True, eq=False)
class NoisedVector:
    """What may leave the device.

    vector: float32, shape (dim,).
    checkpoint_id: whose items it meets.
    settings: what it was noised by.
    """

    vector: Float32Array
    checkpoint_id: str
    settings: NoiseSettings

    def asked(self) -> dict[str, Any]:
        """The fields of a request (docs/http-api.md)."""
        return {
            "query_vector": self.vector.tolist(),
            "checkpoint_id": self.checkpoint_id,
            "noise": self.settings._asdict(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class KeptNoise:
    """What the device keeps, sealed as it keeps a history: `made_from` says yes to whoever guesses the vector.

    noised: to be sent, as often as wanted.
    made_from: the digest of the embedding, checkpoint and settings that it was made from.
    spent: ε of this vector and of all before it, together.
    """

    noised: NoisedVector
    made_from: str
    spent: float

    def to_bytes(self) -> bytes:
        """For a file, which is to be sealed."""
        return json.dumps({**self.noised.asked(), "made_from": self.made_from, "spent": self.spent}).encode()


def noised_once(noise: VectorNoise, embedding: UserEmbedding, kept: KeptNoise | None = None) -> KeptNoise:
    """The noised vector of an embedding: what is kept where that was made from the same; else drawn anew, at its ε.

    Args:
        noise: for the checkpoint of the embedding.
        embedding: of the person.
        kept: what this gave the last time; None the first time.

    Raises:
        CheckpointMismatch: the embedding belongs to another checkpoint.
        BadInput: it has another length than the vectors of the items.
    """
    vector = embedding.for_checkpoint(noise.checkpoint_id)
    if len(vector) != len(noise.centre):
        raise BadInput(f"item vectors have {len(noise.centre)} numbers; the user embedding has {len(vector)}")
    made_from = _digest(noise, vector)
    if kept is not None and kept.made_from == made_from:
        return kept
    noised = NoisedVector(noise.told(vector), noise.checkpoint_id, noise.settings)
    return KeptNoise(noised, made_from, (kept.spent if kept else 0.0) + noise.settings.epsilon)


def kept_noise(content: bytes) -> KeptNoise:
    """What `KeptNoise.to_bytes` wrote; raises `BadInput` for anything else."""
    try:
        read = json.loads(content)
        settings = NoiseSettings(read["noise"]["mechanism"], float(read["noise"]["epsilon"]))
        vector = np.array(read["query_vector"], np.float32)
        noised = NoisedVector(vector, str(read["checkpoint_id"]), settings)
        return KeptNoise(noised, str(read["made_from"]), float(read["spent"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"these {len(content)} bytes are no noised vector that was kept: {error!r}") from None


def _digest(noise: VectorNoise, vector: Float32Array) -> str:
    mechanism, epsilon = noise.settings
    named = json.dumps([noise.checkpoint_id, mechanism, epsilon, vector.astype("<f4").tobytes().hex()])
    return hashlib.sha256(named.encode()).hexdigest()
