"""Federated softmax classification: ten devices learn to read digits together, and no digit leaves its device.

    python examples/federated_classification.py

The global model is Dense(128, relu) - Dense(10, softmax). In each round every device trains a copy of it on its own
digits, and the server averages what they learnt, on the same loop that trains Hearth's recommender. Beside it the
same model is trained on the same digits in one place, with as many passes over them.

The digits are scikit-learn's (1,797 of 8 x 8 pixels; 143 a device, 367 held out). Where the folder that HEARTH_DATA
names has mnist_10k/mnist_10k.npz (x, y: 10,000 of 28 x 28), those are taken: 800 a device, 2,000 held out.

How long, how fast and in what batches the devices train was chosen by --tune, which cuts a fifth of the devices'
own digits off to validate on. The held-out digits choose nothing.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from feature_store.errors import HearthError
from training.algorithm import Algorithm
from training.averaging import averaging, make_step
from training.keras_client import Examples, KerasClient, LocalSgdSettings
from training.loop import run_rounds
from training.server_settings import FedAvgServer
from training.server_state import ServerState
from training.tf import tf_keras
from training.transport import simulation

GRID = {"epochs": (1, 5, 10), "rate": (0.1, 0.2, 0.3, 0.5), "batch": (10, 20), "server_rate": (1.0, 1.5, 2.0)}


def mnist_file() -> Path:
    """Where the larger digits are, if anywhere."""
    return Path(os.environ.get("HEARTH_DATA", "HEARTH_DATA-is-not-set")) / "mnist_10k" / "mnist_10k.npz"


def read_digits(data: str) -> tuple[Examples, Examples]:
    """The digits of the devices and the held-out ones, pixels from 0 to 1, in one random order."""
    if data == "mnist_10k":
        with np.load(mnist_file()) as file:
            inputs, labels = file["x"] / np.float32(255), file["y"]
    else:
        inputs, labels = load_digits(return_X_y=True)
        inputs = inputs / np.float32(16)
    order = np.random.default_rng(0).permutation(len(labels))
    inputs, labels = inputs[order].astype(np.float32), labels[order].astype(np.int64)
    train = len(labels) * 4 // 5 // 10 * 10
    return Examples(inputs[:train], labels[:train]), Examples(inputs[train:], labels[train:])


def cut(digits: Examples, parts: int) -> list[Examples]:
    """Equal parts of the digits, one a device."""
    inputs, labels = (np.array_split(array, parts) for array in digits)
    return list(itertools.starmap(Examples, zip(inputs, labels, strict=True)))


def joined(parts: Sequence[Examples]) -> Examples:
    """All parts in one place."""
    return Examples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def accuracies(devices: Sequence[Examples], held_out: Examples, options: argparse.Namespace) -> Iterator[float]:
    """Train on those devices; gives the accuracy on the held-out digits after each round."""
    glorot = tf_keras.initializers.GlorotUniform
    model = tf_keras.Sequential([
        tf_keras.Input(held_out.inputs.shape[1:]),
        tf_keras.layers.Dense(128, "relu", kernel_initializer=glorot(options.seed), name="hidden"),
        tf_keras.layers.Dense(10, "softmax", kernel_initializer=glorot(options.seed + 1), name="output"),
    ])  # fmt: skip
    local = LocalSgdSettings(epochs=options.epochs, learning_rate=options.rate, batch_size=options.batch)
    loss = tf_keras.losses.sparse_categorical_crossentropy
    client = KerasClient(model, loss, local, seed=options.seed, xla=True)
    server = averaging(make_step(FedAvgServer(learning_rate=options.server_rate, mixing=options.mixing)))
    algorithm = Algorithm(client.broadcast, client.client_update, server)
    start = ServerState(0, client.parameters(), server.init(client.parameters()))
    everybody = simulation(algorithm, devices, np.arange(len(devices)), len(devices), options.seed)
    for state, _ in run_rounds(algorithm, everybody, start, rounds=options.rounds):
        predicted = client.outputs(state.parameters, held_out.inputs).argmax(axis=1)
        yield float((predicted == held_out.labels).mean())


def centralised(digits: Examples, held_out: Examples, options: argparse.Namespace) -> list[float]:
    """The same, where one device has all digits; its update is taken as it is."""
    own = argparse.Namespace(**{**vars(options), "rate": options.central_rate, "server_rate": 1.0, "mixing": 0.0})
    return list(accuracies([digits], held_out, own))


def tune(train: Examples, options: argparse.Namespace) -> None:
    """Print what each setting of the grid validates at, best last; the held-out digits are not looked at."""
    parts = [(cut(device, 5)[:4], cut(device, 5)[4]) for device in cut(train, options.devices)]
    devices, held_out = [joined(fit) for fit, _ in parts], joined([valid for _, valid in parts])
    found = []
    for values in itertools.product(*GRID.values()):
        settings = dict(zip(GRID, values, strict=True))
        tried = argparse.Namespace(**{**vars(options), **settings})
        *_, last = accuracies(devices, held_out, tried)
        found.append((last, settings))
        print(f"{last:.4f}  {settings}", file=sys.stderr, flush=True)
    for last, settings in sorted(found, key=lambda entry: entry[0]):
        print(f"{last:.4f}  {settings}")


def numbers(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    """What reads an option that is such a number, for argparse."""

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"is from {least:g} to {most:g}; got {text}")
        return value

    return number


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "mnist_10k" if mnist_file().exists() else "digits"
    count = numbers(int, 1, 1_000_000)
    rate = numbers(float, 1e-6, 1e12)
    parser.add_argument("--data", choices=("digits", "mnist_10k"), default=default, help=f"default: {default}")
    for name, kind, value, said in (
        ("devices", count, 10, "how many devices share the digits"),
        ("rounds", count, 10, "of federated training"),
        ("epochs", count, 5, "E, passes of a device over its digits in a round"),
        ("rate", rate, 0.3, "alpha_i, of a device's steps"),
        ("batch", count, 10, "digits of a step"),
        ("server-rate", numbers(float, 1e-6, 100), 2.0, "alpha_g, of the averaged update"),
        ("mixing", numbers(float, 0, 0.999), 0.0, "beta, share of the old parameters that the server keeps"),
        ("central-rate", rate, 0.1, "of the steps where all digits are in one place"),
        ("seed", numbers(int, 0, 2**31), 0, "of the start and the order of the digits"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=value, help=f"{said}; default: {value}")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--tune", action="store_true", help="print what settings validate at, and end; takes minutes")
    return parser.parse_args()


def main() -> None:
    """Train both ways and print the accuracies."""
    options = arguments()
    if options.data == "mnist_10k" and not mnist_file().exists():
        sys.exit(f"{mnist_file()} is not there; HEARTH_DATA names the folder that has mnist_10k/")
    train, held_out = read_digits(options.data)
    fewest = 5 if options.tune else 1  # of a device: a fifth validates
    if options.devices * fewest > len(train.labels):
        sys.exit(f"{options.devices} devices cannot share {len(train.labels)} digits: each needs {fewest}")
    if options.tune:
        tune(train, options)
        return
    federated = list(accuracies(cut(train, options.devices), held_out, options))
    central = centralised(train, held_out, options)
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name not in {"json", "tune"}}
        figures = {"federated": federated, "centralised": central, "held_out": len(held_out.labels)}
        print(json.dumps({"settings": settings, **figures}))
        return
    each = len(train.labels) // options.devices
    print(f"{options.data}: {options.devices} devices with {each} digits each, {len(held_out.labels)} held out")
    print("round  federated  centralised")
    for number, pair in enumerate(zip(federated, central, strict=True), start=1):
        print("{:>5}  {:>8.2%}  {:>10.2%}".format(number, *pair))


if __name__ == "__main__":
    try:
        main()
    except HearthError as error:  # such as steps so long that the numbers overflow
        sys.exit(str(error))
