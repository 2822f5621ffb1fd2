"""The SuperNode's clock: what is replaced of Flower is still what it was when it was replaced."""

import inspect
import re
import subprocess
import sys

from flwr.supernode import start_client_internal

from hearth.federation.supernode import LONGEST_NAP


def test_a_nap_is_all_that_flowers_module_takes_of_time() -> None:
    source = inspect.getsource(start_client_internal)
    assert set(re.findall(r"(?<![\w.])time\.(\w+)\(", source)) == {"sleep"}
    assert "time.sleep(3)" in source


def test_naps_of_flower_are_short_and_those_of_everybody_else_as_they_were() -> None:
    program = (
        "import time\n"
        "from flwr.supernode import start_client_internal\n"
        "from hearth.federation.supernode import look_often\n"
        "look_often()\n"
        "start = time.monotonic(); start_client_internal.time.sleep(3); short = time.monotonic() - start\n"
        "start = time.monotonic(); time.sleep(0.6); print(short, time.monotonic() - start)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60)
    short, other = map(float, done.stdout.split())
    assert LONGEST_NAP <= short < 3
    assert other >= 0.6
