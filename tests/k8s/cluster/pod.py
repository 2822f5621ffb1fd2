"""A pod: its init containers one after the other, then its containers, each probed and started again as it says."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from k8s.policies.finding import namespace_of
from k8s.policies.pods import Pods
from tests.k8s.cluster.container import Place, Running
from tests.k8s.cluster.environment import command_of, variables_of
from tests.k8s.cluster.image import image_of
from tests.k8s.cluster.standing import Standing
from tests.k8s.cluster.volumes import TOKEN_FOLDER, Volumes
from tests.k8s.cluster.watch import Watched, watch
from tests.k8s.cluster.wrong import NotThere, Wrong

_LOOK_SECONDS = 0.2
# A kubelet waits for ten seconds before it starts a container again, and twice as long each time. Our time is short.
_PAUSE, _LONGEST_PAUSE = 1.0, 8.0
_TOO_OFTEN = 4  # ends that nobody asked for, within ten seconds or so: nothing of the overlays ends even once


class Node(NamedTuple):
    """What pods are given.

    place: where a pod's containers run, by its network and its security context; logs: a folder; api: variables that
    name the cluster's API; account: the files of a service account; changed: to be told of each change of readiness.
    """

    place: Callable[[str, dict[str, Any]], Place]
    volumes: Volumes
    logs: Path
    api: Mapping[str, str]
    account: Callable[[str], Mapping[str, bytes]]
    changed: Callable[[], None]


class Pod:
    """One pod, which runs from now on. network, address: as `Network` made them."""

    def __init__(self, name: str, pods: Pods, node: Node, network: str, address: str) -> None:
        self.name, self.pods, self.address, self.is_ending = name, pods, address, False
        self._node, self._spec = node, pods.spec
        self._place = node.place(network, self._spec.get("securityContext", {}))
        self._mounts: dict[str, Path] = {}
        self._kept = [(spec, self._standing(spec)) for spec in self._spec["containers"]]
        self._first = [(spec, self._standing(spec)) for spec in self._spec.get("initContainers", ())]
        self._task = asyncio.create_task(self._run())

    @property
    def standing(self) -> list[Standing]:
        """Of all its containers, those of the start first."""
        return [each for _, each in (*self._first, *self._kept)]

    @property
    def is_ready(self) -> bool:
        """Whether all containers that stay are."""
        return all(each.is_ready for _, each in self._kept)

    @property
    def fault(self) -> str:
        """What is wrong with it for good, by container; "" where nothing is."""
        if self._task.done() and not self._task.cancelled() and self._task.exception():
            return f"{self.name}: {self._task.exception()!r}"
        return "; ".join(f"{self.name}/{each.name}: {each.fault}" for each in self.standing if each.fault)

    @property
    def is_failing(self) -> bool:
        """Whether a container of it ends again and again."""
        return any(len(each.exits) >= _TOO_OFTEN for each in self.standing)

    def why_not(self) -> str:
        """What it waits for: the first init container that has not ended well, else the containers."""
        first = [each for _, each in self._first if not each.is_ready]
        waiting = first[:1] or [each for _, each in self._kept if not each.is_ready]
        return "\n".join(f"{self.name}/{each.name}: {each.why_not()}" for each in waiting)

    async def finished(self) -> dict[str, int]:
        """Wait for the end of a pod that has one: the last status of each container."""
        await self._task
        return {each.name: each.exits[-1] for each in self.standing if each.exits}

    async def stop(self) -> None:
        """Take it out of its Services, and end it in the time that it has for that."""
        self.is_ending = True
        self._node.changed()
        grace = float(self._spec.get("terminationGracePeriodSeconds", 30))

        async def end(each: Standing) -> None:
            if each.running is not None:
                each.ended = await each.running.stop(grace)

        await asyncio.gather(*map(end, self.standing))
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        await self._until_there(self.standing, self._mount)
        policy = self._spec.get("restartPolicy", "Always")
        for spec, standing in self._first:
            await self._keep(spec, standing, "Never" if policy == "Never" else "OnFailure")
            if standing.exits[-1:] != [0]:
                return
            standing.is_ready = True
        await asyncio.gather(*(self._keep(spec, standing, policy) for spec, standing in self._kept))

    def _mount(self) -> None:
        owner = self.pods.owner
        templates = [each["metadata"]["name"] for each in owner["spec"].get("volumeClaimTemplates", ())]
        claims = {name: f"{name}-{self.name}" for name in templates}
        self._mounts = self._node.volumes.made(self.name, namespace_of(owner), self._spec, claims)
        if self._spec.get("automountServiceAccountToken", True):
            account = self._node.account(self._spec.get("serviceAccountName", "default"))
            self._mounts[TOKEN_FOLDER] = self._node.volumes.account(self.name, account)

    async def _keep(self, spec: dict[str, Any], standing: Standing, policy: str) -> None:
        """Run a container, and run it again as the pod's policy of restarts says."""
        pause, stays = _PAUSE, spec in self._spec["containers"]
        while not self.is_ending:
            standing.running = running = await self._started(spec, standing)
            watched = Watched(spec, running, standing, self.address, self._node.changed)
            watching = asyncio.create_task(watch(watched) if stays else asyncio.sleep(0))
            try:
                status = await running.wait()
            finally:
                watching.cancel()
            standing.running, standing.is_ready = None, False
            self._node.changed()
            if self.is_ending:
                return
            standing.exits.append(status)
            if policy == "Never" or (policy == "OnFailure" and status == 0):
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _started(self, spec: dict[str, Any], standing: Standing) -> Running:
        """The container, running; what it is started with is looked up anew each time."""
        found: list[tuple[list[str], dict[str, str], str]] = []

        def look_up() -> None:
            image = image_of(spec["image"])
            given = {**image.variables, "HOSTNAME": self.name, **self._node.api}
            variables = variables_of(spec, given, self._fields(), self._data_of)
            found.append((command_of(spec, variables), variables, spec.get("workingDir", image.folder)))

        await self._until_there([standing], look_up)
        mounts = [*spec.get("volumeMounts", ())]
        if TOKEN_FOLDER in self._mounts:
            mounts.append({"name": TOKEN_FOLDER, "mountPath": TOKEN_FOLDER, "readOnly": True})
        running = Running(self._place, {**spec, "volumeMounts": mounts}, standing.log)
        await running.start(*found[-1], self._mounts)
        return running

    async def _until_there(self, standing: list[Standing], made: Callable[[], None]) -> None:
        """Try again while something is not there; what is wrong for good is a fault, and nothing follows."""
        while True:
            try:
                made()
            except NotThere as error:
                waits_for = str(error)
            except Wrong as error:
                for each in standing:
                    each.fault = str(error)
                await asyncio.get_running_loop().create_future()
            else:
                waits_for = ""
            for each in standing:
                each.waits_for = waits_for
            if not waits_for:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _standing(self, spec: dict[str, Any]) -> Standing:
        return Standing(spec["name"], self._node.logs / f"{self.name}-{spec['name']}.log")

    def _fields(self) -> dict[str, str]:
        labels = {f"metadata.labels['{key}']": value for key, value in self.pods.labels.items()}
        return labels | {
            "metadata.name": self.name,
            "metadata.namespace": self.pods.namespace,
            "spec.serviceAccountName": self._spec.get("serviceAccountName", "default"),
            "status.podIP": self.address,
        }

    def _data_of(self, kind: str, name: str) -> Mapping[str, bytes]:
        return self._node.volumes.data_of(kind, self.pods.namespace, name)


def ends(pods: Iterable[Pod]) -> dict[str, dict[str, Any]]:
    """How each container of these pods ended."""
    return {
        f"{pod.name}/{each.name}": each.ended._asdict()
        for pod in pods
        for each in pod.standing
        if each.ended is not None
    }
