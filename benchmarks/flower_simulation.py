"""The same round in Flower's own simulation with Ray: one ClientApp call per client, updates added on the server.

Run in a process of its own, `python -m benchmarks.flower_simulation FOLDER ROUNDS`, as Flower and Ray leave threads,
processes and settings behind. The folder holds `round.npz`; the sums go to `sums.npz` beside it, and one line of
JSON with the seconds to stdout.
"""

import json
import sys
import time
import warnings
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.numpy_client import one_client, round_arrays
from feature_store.fold_in import FoldInSettings
from training.client_update import ClientUpdate

OFFLINE = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "CUDA_VISIBLE_DEVICES": "",
}
"""What keeps Flower and Ray off the network and quiet; for the environment of the process."""


def simulate(folder: Path, rounds: int) -> dict[str, Any]:
    """Run the round that `folder` tells of several times.

    Returns:
        seconds: of each round, from the first message sent to the last update added; Ray's start, and a first message
            to as many clients as there are cores, are over by then.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Flower's and Ray's, about each other and about Python
        from flwr.app import (  # noqa: PLC0415 - what this process does not get is told by the parent
            Array,
            ArrayRecord,
            ConfigRecord,
            Context,
            Message,
            MetricRecord,
            RecordDict,
        )
        from flwr.clientapp import ClientApp  # noqa: PLC0415
        from flwr.serverapp import Grid, ServerApp  # noqa: PLC0415
        from flwr.simulation import run_simulation  # noqa: PLC0415

    file = str(folder / "round.npz")
    known = round_arrays(file)
    clients = len(known["offsets"]) - 1
    seconds: list[float] = []
    client_app, server_app = ClientApp(), ServerApp()

    @client_app.train()
    def train(message: Message, context: Context) -> Message:
        config, arrays = message.content.config_records["config"], message.content.array_records["broadcast"]
        local = round_arrays(str(config["file"]))
        here = int(context.node_config["partition-id"])
        rows = local["rows"][local["offsets"][here] : local["offsets"][here + 1]]
        weights = FoldInSettings(*local["weights"].tolist())
        update = one_client(arrays["item_vectors"].numpy(), arrays["gram"].numpy(), rows, weights)
        sums = ArrayRecord({name: Array(array) for name, array in update.sums.items()})
        told = MetricRecord({"loss": update.loss, "clients": update.clients})
        return Message(RecordDict({"sums": sums, "told": told}), reply_to=message)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        del context
        while len(nodes := list(grid.get_node_ids())) < clients:
            time.sleep(0.1)
        vectors = known["item_vectors"]
        broadcast = ArrayRecord({"item_vectors": Array(vectors), "gram": Array(vectors.T @ vectors)})
        content = RecordDict({"broadcast": broadcast, "config": ConfigRecord({"file": file})})

        def ask(some: list[int]) -> ClientUpdate:
            replies = grid.send_and_receive([Message(content, dst_node_id=node, message_type="train") for node in some])
            return reduce(ClientUpdate.__add__, (_update(reply.content) for reply in replies))

        ask(nodes[: min(8, clients)])
        for _ in range(rounds):
            started = time.perf_counter()
            update = ask(nodes)
            seconds.append(time.perf_counter() - started)
        np.savez(folder / "sums.npz", loss=update.loss, clients=update.clients, **update.sums)  # type: ignore[arg-type]  # its stub takes arrays by position alone

    def _update(content: Any) -> ClientUpdate:
        sums = {name: array.numpy() for name, array in content.array_records["sums"].items()}
        told = content.metric_records["told"]
        return ClientUpdate(sums, float(told["loss"]), int(told["clients"]))

    run_simulation(
        server_app,
        client_app,
        num_supernodes=clients,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"include_dashboard": False, "_temp_dir": str(folder / "ray")},
        },
    )
    return {"seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(simulate(Path(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201 - the parent reads it
