"""The superexec as Flower has it, but that a ClientApp is forked from a process that has imported Flower already.

    python -m hearth.federation.superexec ARGUMENTS      those of flower-superexec

Flower's own starts the command `flwr-clientapp` for each message: two seconds of a processor, nearly all of it imports,
of which a round under masks has three and a retraining two dozen. A message still has a process of its own, which sees
that message alone and ends with it. Flower keeps such processes ready only as pods, and for agents; so the one class by
which it starts commands is replaced here. `flwr` is pinned to 1.41, and a test holds it to this.
"""

import multiprocessing
import sys
from multiprocessing import forkserver

from flwr.supercore.cli.flower_superexec import flower_superexec
from flwr.supercore.constant import TASK_TYPE_TO_APPIO_API_ADDRESS_ARG, TASK_TYPE_TO_COMMAND, TaskType
from flwr.supercore.superexec.executor import ExecutionSpec, LaunchResult, SubprocessExecutor, factory
from flwr.supernode.cli.flwr_clientapp import flwr_clientapp

# A server of forks has one thread, which a process with Flower's health server has not.
_FORKS = multiprocessing.get_context("forkserver")
_IMPORTED = [__spec__.name, "training.federation.client_app"]


class ForkingExecutor(SubprocessExecutor):
    """Starts ClientApps by forks, and whatever else there is as Flower does."""

    def __init__(self) -> None:
        _FORKS.set_forkserver_preload(_IMPORTED)
        forkserver.ensure_running()  # it imports while nobody waits

    def launch(self, spec: ExecutionSpec) -> LaunchResult:
        """See `SubprocessExecutor.launch`."""
        if spec.task_type is not TaskType.CLIENT_APP:
            return super().launch(spec)
        # Ended with this process, as those are that Flower starts.
        _FORKS.Process(target=_client_app, args=(words_of(spec),), daemon=True).start()
        return LaunchResult.accepted()


def words_of(spec: ExecutionSpec) -> list[str]:
    """The command that Flower would start for it."""
    words = [TASK_TYPE_TO_COMMAND[spec.task_type]]
    words += [TASK_TYPE_TO_APPIO_API_ADDRESS_ARG[spec.task_type], spec.runtime_api_address, "--token", spec.token]
    if spec.insecure:
        words += ["--insecure"]
    elif spec.root_certificates_path is not None:
        words += ["--root-certificates", spec.root_certificates_path]
    if spec.parent_pid is not None:
        words += ["--parent-pid", str(spec.parent_pid)]
    if spec.runtime_dependency_install:
        words += ["--allow-runtime-dependency-installation"]
    return words


def _client_app(words: list[str]) -> None:
    """In the fork: what the command does."""
    sys.argv = words
    flwr_clientapp()


def keep_client_apps_ready() -> None:
    """Let this process's superexec fork its ClientApps."""
    vars(factory)["SubprocessExecutor"] = ForkingExecutor


if __name__ == "__main__":
    keep_client_apps_ready()
    flower_superexec()
