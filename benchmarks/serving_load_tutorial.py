"""The peer that tutorials build: FastAPI around `tfrs.layers.factorized_top_k.BruteForce`, served by uvicorn.

As in the basic tutorials of TensorFlow Recommenders and FastAPI: a query model that looks the person's id up, an index
over all items with their ids, a plain `def` endpoint, which runs in a thread, and pydantic models on both sides. It
applies no filters or rules, stores nothing, and everybody has met nothing.
"""

import os

# As `training.tf` does; but that makes TensorFlow deterministic too, which a tutorial does not.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serving_load_peers import tell_address


class Query(BaseModel):
    """Who asks."""

    user_id: str
    k: int = 10


class Recommendation(BaseModel):
    """One item of a reply."""

    item_id: str
    score: float


class Reply(BaseModel):
    """The best items."""

    items: list[Recommendation]


def tutorial_app(item_ids: Any, vectors: Any, people: Any) -> FastAPI:
    """The app.

    item_ids: shape (items,); vectors: theirs, float32, shape (items, dim).
    people: the vectors of people, who are named person-0 and so on, float32, shape (people, dim).
    """
    names = tf.keras.layers.StringLookup(vocabulary=[f"person-{n}" for n in range(len(people))], mask_token=None)
    known = tf.keras.layers.Embedding(len(people) + 1, people.shape[1])
    user_model = tf.keras.Sequential([names, known])
    user_model(tf.constant(["person-0"]))
    known.set_weights([np.concatenate([np.zeros((1, people.shape[1]), np.float32), people])])
    index = tfrs.layers.factorized_top_k.BruteForce(user_model, k=10)
    index.index(tf.constant(vectors), tf.constant(item_ids))
    app = FastAPI()

    @app.post("/recommend")
    def recommend(query: Query) -> Reply:
        scores, found = index(tf.constant([query.user_id]), k=query.k)
        pairs = zip(found[0].numpy(), scores[0].numpy(), strict=True)
        return Reply(items=[Recommendation(item_id=item_id.decode(), score=float(score)) for item_id, score in pairs])

    return app


def main(arrays: str, address_file: str) -> None:
    """Serve until the process is ended; where, stands in the last file once somebody may ask."""
    with np.load(arrays, allow_pickle=False) as world:
        app = tutorial_app(world["item_ids"], world["vectors"], world["people"])
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(2048)
        tell_address(bound, Path(address_file))
        # The default closes a connection after five idle seconds, maybe under a request of a slow load.
        uvicorn.Server(uvicorn.Config(app, timeout_keep_alive=600)).run([bound])


if __name__ == "__main__":
    main(*sys.argv[1:])
