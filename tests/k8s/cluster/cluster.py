"""All objects of an overlay, running on this machine: pods, Services that lead to them, the cluster's API."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from k8s.policies.finding import Object, Objects, name_of, subject
from k8s.policies.pods import LASTING, Pods, pods_of
from tests.k8s.cluster.api import Api, answering
from tests.k8s.cluster.container import Place
from tests.k8s.cluster.image import lay_out
from tests.k8s.cluster.network import NODE, Network
from tests.k8s.cluster.pod import Node, Pod
from tests.k8s.cluster.services import Service
from tests.k8s.cluster.volumes import TOKEN_FOLDER, Volumes
from tests.k8s.cluster.ways import Way
from tests.k8s.cluster.wrong import NotReady, Wrong

_LOOK_SECONDS = 0.1
# A cluster's nodes hear of a change one after the other: that long a pod that ends is sent new connections.
_TELLING_SECONDS = 1.0


class Cluster:
    """One that runs; `opened_cluster` makes it."""

    def __init__(self, objects: Objects, network: Network, api: Api, services: dict[str, Service]) -> None:
        self.objects, self.api, self.services, self.pods = objects, api, services, list[Pod]()
        self.node: Node
        self.following: asyncio.Task[None]
        self._network, self._numbers = network, count(1)
        self._change, self._changes, self._told = asyncio.Event(), 0, 0

    def changed(self) -> None:
        """Some pod became ready, or is so no longer, or ends."""
        self._changes += 1
        self._change.set()

    async def apply(self) -> None:
        """Start what the objects say."""
        for pods in pods_of(self.objects):
            if pods.owner["kind"] in LASTING:
                for number in range(self._replicas(pods.owner)):
                    await self.start(pods, number)
            elif pods.owner["kind"] == "Job":
                await self.start(pods, 0)

    async def start(self, pods: Pods, number: int) -> Pod:
        """Start one pod of a workload; number: its own in a StatefulSet."""
        stays = pods.owner["kind"] == "StatefulSet"
        name = f"{name_of(pods.owner)}-{number if stays else f'x{next(self._numbers)}'}"
        pod = Pod(name, pods, self.node, *await asyncio.to_thread(self._network.for_pod, name))
        self.pods.append(pod)
        return pod

    def of(self, kind: str, name: str) -> list[Pod]:
        """The pods of an object that are not ending."""
        return [
            pod
            for pod in self.pods
            if (pod.pods.owner["kind"], name_of(pod.pods.owner)) == (kind, name) and not pod.is_ending
        ]

    async def until_ready(self, pods: Iterable[Pod], seconds: float) -> None:
        """Wait for these pods, and until Services lead to them.

        Raises:
            NotReady: after so many seconds, or sooner, where a pod fails: the others may wait for what it was to make.
            Wrong: at once, as something is wrong for good.
        """
        waiting, until = list(pods), time.monotonic() + seconds
        while waiting := [pod for pod in waiting if not pod.is_ready]:
            self._check(waiting)
            failing = [pod for pod in self.pods if pod.is_failing and not pod.is_ending]
            if failing or time.monotonic() > until:
                why = f"{', '.join(pod.name for pod in failing)} failed:" if failing else f"after {seconds:g} s:"
                others = [pod for pod in waiting if pod not in failing]
                raise NotReady("\n".join([why, *(pod.why_not() for pod in (*failing, *others))]))
            await asyncio.sleep(_LOOK_SECONDS)
        changes = self._changes
        while self._told < changes:
            self._check(())
            await asyncio.sleep(_LOOK_SECONDS)

    def _check(self, pods: Iterable[Pod]) -> None:
        if faults := [pod.fault for pod in pods if pod.fault]:
            raise Wrong("\n".join(faults))
        if self.following.done():
            self.following.result()

    async def run_cron_job(self, name: str, seconds: float) -> dict[str, int]:
        """What its schedule would start, to its end: the status of each container; raises `NotReady` if it is late."""
        (pods,) = [each for each in pods_of(self.objects) if subject(each.owner) == f"CronJob/{name}"]
        pod = await self.start(pods, 0)
        try:
            return await asyncio.wait_for(pod.finished(), seconds)
        except TimeoutError:
            raise NotReady(f"after {seconds:g} s:\n{pod.why_not()}") from None

    async def roll_out(self, name: str, seconds: float) -> list[Pod]:
        """Replace the pods of a Deployment as `maxSurge: 1, maxUnavailable: 0` says: the old ones, which have ended."""
        old = self.of("Deployment", name)
        for pod in old:
            how = pod.pods.owner["spec"]["strategy"]["rollingUpdate"]
            if how != {"maxSurge": 1, "maxUnavailable": 0}:
                raise Wrong(f"Deployment/{name} is rolled out by {how}, of which nothing is known here")
            await self.until_ready([await self.start(pod.pods, 0)], seconds)
            await pod.stop()
        return old

    async def follow(self) -> None:
        """Let Services lead to whoever is ready, a while after each change, for ever."""
        while True:
            self._change.clear()
            await asyncio.sleep(_TELLING_SECONDS)
            changes = self._changes
            for service in self.services.values():
                await service.lead_to(self.pods)
            names = {name: service.addresses() for service in self.services.values() for name in service.names}
            self._network.call({name: found[0] for name, found in names.items() if found})
            self._told = changes
            await self._change.wait()

    def _replicas(self, owner: Object) -> int:
        """How many; where an autoscaler says it, the fewest."""
        scalers = self.objects.of_kind("HorizontalPodAutoscaler")
        least = [
            int(each["spec"]["minReplicas"])
            for each in scalers
            if each["spec"]["scaleTargetRef"]["name"] == name_of(owner)
            and each["spec"]["scaleTargetRef"]["kind"] == owner["kind"]
        ]
        return int(owner["spec"].get("replicas", least[0] if least else 1))


@asynccontextmanager
async def opened_cluster(objects: Objects, folder: Path, way: Way) -> AsyncIterator[Cluster]:
    """A cluster, as long as the block; within a node of its own, which takes with it whatever is left.

    folder: for volumes, logs, and the root of containers; new.
    """
    root, keys, logs = folder / "root", folder / "keys", folder / "logs"
    for each in (keys, logs):
        each.mkdir(parents=True)
    everyone = list(pods_of(objects))
    mounted = {
        each["mountPath"] for pods in everyone for one in pods.containers for each in one.get("volumeMounts", ())
    }
    lay_out(root, {*mounted, TOKEN_FOLDER})
    network = await asyncio.to_thread(Network, root / "etc" / "hosts")
    services = {
        name_of(each): Service(
            each, "" if each["spec"].get("clusterIP") == "None" else await asyncio.to_thread(network.for_service)
        )
        for each in objects.of_kind("Service")
    }
    (namespace,) = {pods.namespace for pods in everyone}
    with answering(Api(NODE, keys, objects, namespace)) as api:
        cluster = Cluster(objects, network, api, services)

        def place(of_pod: str, context: dict[str, Any]) -> Place:
            return Place(way, root, of_pod, copy.deepcopy(context))

        volumes = Volumes(folder, objects, api.secrets, has_users=way.has_users)
        variables = {"KUBERNETES_SERVICE_HOST": NODE, "KUBERNETES_SERVICE_PORT": "443"}
        cluster.node = Node(place, volumes, logs, variables, api.account, cluster.changed)
        cluster.following = asyncio.create_task(cluster.follow())
        try:
            yield cluster
        finally:
            cluster.following.cancel()
            for service in cluster.services.values():
                service.close()
