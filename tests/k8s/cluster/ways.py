"""Which namespaces this machine lets us make, and the words that make them.

All runs in namespaces of a *node*, which end with the process that made them; a pod has a network of its own there, and
a container mounts and processes of its own, as in a cluster. As root, containers have the users that the manifests say.
Without it one user is all there is: he is the container's within, and ourselves outside.
"""

import os
import subprocess
import sys
from typing import Any, NamedTuple

from tests.k8s.cluster.places import PROJECT, programs

_NODE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")
_ALONE = ("--user", "--map-root-user")
_PATIENCE = 120.0  # seconds, of a busy machine


class Forbidden(Exception):
    """This machine lets us make no such namespaces; the message says what it answered."""


class Way(NamedTuple):
    """has_users: whether a container's user is one that the machine knows apart from ours."""

    has_users: bool

    def node(self) -> list[str]:
        """Before the command that is to run in a node of its own."""
        return [*_NODE, *(() if self.has_users else _ALONE), "--mount-proc"]

    def identity(self, pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
        """Before a container's command: who it is, and what it may, by the security contexts of pod and container."""
        context = {**pod, **container}
        user, group = str(context.get("runAsUser", 0)), str(context.get("runAsGroup", 0))
        words = [] if self.has_users else ["unshare", "--user", f"--map-user={user}", f"--map-group={group}"]
        words += ["setpriv"]
        if self.has_users:
            groups = ",".join(dict.fromkeys([group, str(context.get("fsGroup", group))]))
            words += [f"--reuid={user}", f"--regid={group}", f"--groups={groups}"]
            if "ALL" in context.get("capabilities", {}).get("drop", ()):
                words += ["--inh-caps=-all", "--bounding-set=-all"]
        if context.get("allowPrivilegeEscalation") is False:
            words += ["--no-new-privs"]
        return [*words, "--"]

    def inside(self, process: int, pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
        """Before a command that joins a container, by a process of it."""
        context = {**pod, **container}
        words = ["nsenter", f"--target={process}", "--mount", "--net", "--pid", "--root", "--wd"]
        if self.has_users:
            return [*words, f"--setuid={context.get('runAsUser', 0)}", f"--setgid={context.get('runAsGroup', 0)}", "--"]
        # The container's user last: he may join nothing else.
        return [*words, "--", "nsenter", "--user=/proc/1/ns/user", "--preserve-credentials", "--"]


def way_here() -> Way:
    """The best of this machine; raises `Forbidden` where there is none."""
    if sys.platform != "linux":
        raise Forbidden(f"namespaces are Linux's, and this is {sys.platform}")
    ways = [Way(has_users=False)]
    if os.geteuid() == 0 and all(place.stat().st_mode & 0o005 == 0o005 for place in programs()):
        ways.insert(0, Way(has_users=True))
    refused, trial = [], [sys.executable, "-m", "tests.k8s.cluster.network"]
    for way in ways:
        try:
            tried = subprocess.run(
                [*way.node(), *trial], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=_PATIENCE
            )
        except FileNotFoundError as error:
            raise Forbidden(f"a program of util-linux is missing: {error}") from error
        if tried.returncode == 0:
            return way
        refused += tried.stderr.strip().splitlines()[-1:]
    raise Forbidden(f"neither root's nor a user's namespaces may be made here: {'; '.join(refused)}")
