"""The network of a node: a bridge, to which each pod is linked with an address of its own, and names.

    10.9.0.1    the node, and on it the cluster's API
    10.9.1.N    services
    10.9.2.N    pods

Policies do not hold here: everybody reaches everybody. tests/k8s/test_network.py works out what they allow.
"""

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from pyroute2 import IPRoute  # type: ignore[import-untyped, unused-ignore] # has no types

from tests.k8s.cluster.image import run

NODE = "10.9.0.1"
_BRIDGE, _PREFIX = "hearth", 16


class Network:
    """hosts: the file by which the containers know names. For a thread without a loop: the library brings its own."""

    def __init__(self, hosts: Path) -> None:
        self._hosts, self._services, self._pods = hosts, count(1), count(1)
        # Where the names of networks are kept; ours is gone with the node.
        run("mount", "-t", "tmpfs", "none", "/run")
        with IPRoute() as route:
            route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")
            route.link("add", ifname=_BRIDGE, kind="bridge")
            self._bridge = route.link_lookup(ifname=_BRIDGE)[0]
            route.addr("add", index=self._bridge, address=NODE, prefixlen=_PREFIX)
            route.link("set", index=self._bridge, state="up")

    def for_pod(self, name: str) -> tuple[str, str]:
        """A network of that name, with a link to all others: its file, and its address."""
        number = next(self._pods)
        address, ours = f"10.9.2.{number}", f"pod{number}"
        with IPRoute(netns=name) as inside, IPRoute() as route:
            route.link("add", ifname=ours, kind="veth", peer={"ifname": "eth0", "net_ns_fd": name})
            route.link("set", index=route.link_lookup(ifname=ours)[0], master=self._bridge, state="up")
            inside.link("set", index=inside.link_lookup(ifname="lo")[0], state="up")
            link = inside.link_lookup(ifname="eth0")[0]
            inside.addr("add", index=link, address=address, prefixlen=_PREFIX)
            inside.link("set", index=link, state="up")
        return f"/var/run/netns/{name}", address

    def for_service(self) -> str:
        """An address at which the node itself answers."""
        address = f"10.9.1.{next(self._services)}"
        with IPRoute() as route:
            route.addr("add", index=self._bridge, address=address, prefixlen=_PREFIX)
        return address

    def call(self, names: Mapping[str, str]) -> None:
        """Let the containers know whose address is whose; names: to addresses."""
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in names.items())]
        # In place: what is mounted is this file.
        self._hosts.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":  # whether it can be done here
    Network(Path(os.devnull)).for_pod("trial")
