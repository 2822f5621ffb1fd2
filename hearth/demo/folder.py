"""The folder of the demo: made anew each time, and never at the cost of anything else."""

import shutil
from pathlib import Path

from feature_store.errors import BadInput

_MARK = ".hearth-demo"


def make_anew(folder: Path) -> None:
    """Empty the folder of an earlier demo; raise `BadInput` where it holds anything else."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; the demo needs a folder, name another with --folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise BadInput(f"{folder} is not empty and not of an earlier demo; name another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
