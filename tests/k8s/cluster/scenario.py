"""What is done with the dev overlay, from its first start to its end, and what came of it.

    python -m tests.k8s.cluster.scenario FOLDER users|one-user

reads FOLDER/objects.json and writes FOLDER/told.json. It is for a node of its own (`Way.node`).
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from k8s.policies.finding import Objects, name_of
from k8s.policies.pods import LASTING
from tests.k8s.cluster.client import Server
from tests.k8s.cluster.cluster import Cluster, opened_cluster
from tests.k8s.cluster.pod import ends
from tests.k8s.cluster.ways import Way

READY_SECONDS, RETRAIN_SECONDS, SWAP_SECONDS = 900.0, 1500.0, 60.0  # of a busy machine
CELLS = ("cell-1", "cell-2", "cell-3")


async def play(cluster: Cluster, centre: Path) -> dict[str, Any]:
    """Start all, fill the cells, retrain while a server is replaced and asked all the time, and end all.

    centre: the volume on which the retraining leaves its report.
    """
    began, told = time.monotonic(), dict[str, Any](seconds={})

    def lap(name: str) -> None:
        told["seconds"][name] = round(time.monotonic() - began, 1)

    await cluster.apply()
    staying = [pod for pod in cluster.pods if pod.pods.owner["kind"] in LASTING]
    jobs = [pod for pod in cluster.pods if pod not in staying]
    await cluster.until_ready(staying, READY_SECONDS)
    lap("ready")
    told["jobs"] = {name_of(pod.pods.owner): await pod.finished() for pod in jobs}
    told["exits"] = {f"{pod.name}/{each.name}": each.exits for pod in staying for each in pod.standing}
    servers = [server_of(cluster, cell) for cell in CELLS]
    told["events"] = {each.cell: await each.fill() for each in servers}
    told["first_models"] = [(await each.recommend())["model_id"] for each in servers]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asking = {
            name: group.create_task(servers[0].keep_asking(stop, keeps=keeps))
            for name, keeps in (("kept connection", True), ("new connections", False))
        }
        rolling = group.create_task(cluster.roll_out(f"serving-{CELLS[0]}", READY_SECONDS))
        told["retrain"] = await cluster.run_cron_job("retrain", RETRAIN_SECONDS)
        lap("retrained")
        told["report"] = report_in(centre)
        old = await rolling
        lap("rolled out")
        told["last_models"] = [await settled(each, told["report"]) for each in servers]
        stop.set()
    told["rolled_out"] = ends(old)
    told["asked"] = {name: each.result()._asdict() for name, each in asking.items()}
    lap("asked")
    left = [pod for pod in cluster.pods if not pod.is_ending and pod.pods.owner["kind"] in LASTING]
    await asyncio.gather(*(pod.stop() for pod in left))
    told["ended"] = ends(left)
    lap("ended")
    return told


def server_of(cluster: Cluster, cell: str) -> Server:
    """That of a cell, through its Service, with the key that the job has made."""
    service = cluster.services[f"serving-{cell}"]
    key = cluster.api.secrets[f"first-api-key-{cell}"]["key"].decode()
    return Server(cell, f"http://{service.address}:{service.port}", key)


async def settled(server: Server, report: dict[str, Any]) -> str:
    """The model that a server answers with once it has had time to take the one that was promoted."""
    until = time.monotonic() + SWAP_SECONDS
    while True:
        model = str((await server.recommend())["model_id"])
        if report["decision"] != "promoted" or model == report["candidate"] or time.monotonic() > until:
            return model
        await asyncio.sleep(0.5)


def report_in(centre: Path) -> dict[str, Any]:
    """What the one retraining has said of itself."""
    (file,) = centre.glob("reports/*.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


async def main(folder: Path, way: Way) -> None:
    """Play it with the objects of that folder."""
    objects = Objects(json.loads((folder / "objects.json").read_text()))
    async with opened_cluster(objects, folder / "cluster", way) as cluster:
        told = await play(cluster, folder / "cluster" / "claims" / "centre")
    (folder / "told.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Way(has_users=sys.argv[2] == "users")))
