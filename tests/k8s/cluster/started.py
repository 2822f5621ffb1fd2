"""Objects that are started, waited for, and ended again.

    python -m tests.k8s.cluster.started FOLDER users|one-user SECONDS

reads FOLDER/objects.json, and says how each container ended, once all pods were ready within so many seconds. Where
something is wrong it ends with 1, and its last lines say what. It is for a node of its own (`Way.node`).
"""

import asyncio
import json
import sys
from pathlib import Path

from k8s.policies.finding import Objects
from tests.k8s.cluster.cluster import opened_cluster
from tests.k8s.cluster.pod import ends
from tests.k8s.cluster.ways import Way
from tests.k8s.cluster.wrong import NotReady, Wrong


async def main(folder: Path, way: Way, seconds: float) -> None:
    """Start the objects of that folder, and end them."""
    objects = Objects(json.loads((folder / "objects.json").read_text()))
    async with opened_cluster(objects, folder / "cluster", way) as cluster:
        await cluster.apply()
        await cluster.until_ready(cluster.pods, seconds)
        await asyncio.gather(*(pod.stop() for pod in cluster.pods))
        sys.stdout.write(json.dumps(ends(cluster.pods)))


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), Way(has_users=sys.argv[2] == "users"), float(sys.argv[3])))
    except (Wrong, NotReady) as error:
        sys.exit(f"{type(error).__name__}: {error}")
