"""A device's whole path: it gets items, keeps what a person does to itself, ranks, moves to new items, and forgets.

    python examples/on_device.py

needs neither a network nor data, and takes some seconds. The centre is `story_centre.py`; all that stands here happens
on the device, which sends nothing to anybody, and shows what it would send, were a server to rank for it. With the name
of a new folder behind it, the files are left there.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from story_centre import STORIES, centre, made_up_world

from feature_store.checkpoint import Checkpoint
from feature_store.durable import replace
from feature_store.embedding import UserEmbedding
from feature_store.encryption import KeyRing, keys_from, new_key
from feature_store.errors import CheckpointMismatch, CorruptBundle, UntrustedCheckpoint
from feature_store.events import Event
from feature_store.item_bundle import ItemBundle, read_bundle
from feature_store.item_bundle_delta import apply_delta
from feature_store.item_bundle_person import rank_for, refold_for
from feature_store.item_bundle_rank import Ranked, rank
from feature_store.noised_vector import KeptNoise, kept_noise, noised_once
from feature_store.rights import erase_person, export_person
from feature_store.signing import PublicKey, SigningKey, TrustedKeys
from feature_store.sqlite import open_sqlite
from feature_store.stores import LocalStores
from feature_store.vector_noise import NoiseSettings, noise_of_bundle

PERSON = "maria@example.org"
TOP = 20
NOISE = NoiseSettings("subset-selection", epsilon=8.0)
OUT = Console(highlight=False, soft_wrap=True)


def keychain() -> list[bytes]:
    """Keys of the store, newest first. A phone asks its keystore; here nothing outlives the program, so one is made."""
    return [new_key()]


def refusal(read: Callable[[], object]) -> str:
    """What a device says of a file that it must not use; it then goes on with the bundle that it has."""
    try:
        read()
    except (CheckpointMismatch, CorruptBundle, UntrustedCheckpoint) as error:
        return f"{type(error).__name__}: {str(error)[:82]}"
    sys.exit("what must be refused was taken")


def verified(folder: Path) -> tuple[ItemBundle, TrustedKeys]:
    """The first bundle, after two that are not what the centre signed."""
    # The public key comes with the app and not with the bundle: who could change the one could change the other.
    pinned = TrustedKeys([PublicKey.load(folder / "centre.pub")])
    content = (folder / "first.bundle").read_bytes()
    tampered = bytearray(content)
    tampered[len(content) // 2] ^= 1
    OUT.print(f"one bit changed: {refusal(lambda: read_bundle(bytes(tampered), pinned))} ...")
    stranger = TrustedKeys([SigningKey.generate().public])
    OUT.print(f"another's key:   {refusal(lambda: read_bundle(content, stranger))} ...")
    bundle = read_bundle(content, pinned)
    OUT.print(f"as published:    verified, {bundle.facts.items:,} stories in {len(content):,} bytes")
    return bundle, pinned


def evening(bundle: ItemBundle) -> list[Event]:
    """What the person does: opens eleven stories of the sea, and hides one.

    Event ids are the device's own; an event that is put twice is kept once, so a retry needs no thought.
    """
    of_the_sea = [row for row, title in enumerate(bundle.titles) if title.endswith("sea")]
    famous = sorted(of_the_sea, key=lambda row: -bundle.item_counts[row])[:12]
    *opened, hidden = (bundle.vocabulary.item_ids[row] for row in famous)
    now = time.time()
    views = [Event(f"open-{n}", PERSON, item_id, "view", now - 60 * n) for n, item_id in enumerate(opened, 1)]
    return [*views, Event("hide-1", PERSON, hidden, "hide", now)]


def show(bundle: ItemBundle, ranked: Ranked, what: str) -> None:
    """The first five of a list, and of which kinds all of it are."""
    kinds = [bundle.titles[row].split()[-1] for row in ranked.rows]
    of_each = ", ".join(f"{kinds.count(kind)} of the {kind}" for kind in sorted(set(kinds), key=kinds.count)[::-1])
    table = Table("", "item", "title", "score", title=f"{what}: {of_each}", title_justify="left")
    for place, (row, score) in enumerate(zip(ranked.rows[:5], ranked.scores[:5], strict=True), 1):
        table.add_row(str(place), bundle.vocabulary.item_ids[row], bundle.titles[row], f"{score:.3f}")
    OUT.print(table)


def shared_with_float32(bundle: ItemBundle, checkpoint: Checkpoint, people: Iterable[np.ndarray]) -> float:
    """How much of the top by the exact vectors is in the top by the bundle's: what its small size costs."""
    shared = []
    for met in people:
        exact = checkpoint.item_vectors @ checkpoint.fold_in(met).vector
        exact[met] = -np.inf
        best = np.argsort(-exact, kind="stable")[:TOP].tolist()
        shared.append(len(set(best) & set(rank(bundle, met, TOP).rows.tolist())) / TOP)
    return float(np.mean(shared))


def milliseconds(call: Callable[[], object]) -> float:
    """The median of twenty calls."""
    taken = []
    for _ in range(20):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return 1000 * float(np.median(taken))


def stolen(folder: Path) -> bytes:
    """The store's files, the database and its write-ahead log, as a thief would copy them while they are in use."""
    copy = folder / "stolen"
    copy.mkdir()
    for file in folder.glob("device.sqlite*"):
        shutil.copy(file, copy)
    return b"".join(file.read_bytes() for file in copy.iterdir())


async def readable(stores: LocalStores, bundle: ItemBundle, content: bytes) -> int:
    """How much of what the store holds of the person stands in plain bytes in the content."""
    history = await stores.events.get(PERSON)
    embedding = await refold_for(stores, bundle, PERSON)
    words = {PERSON, *history.item_ids, *(event.event_id for event in history.events)}
    return sum(secret in content for secret in [embedding.vector.tobytes()[:8], *(word.encode() for word in words)])


def sendable(embedding: UserEmbedding, bundle: ItemBundle, file: Path, keys: KeyRing) -> KeptNoise:
    """The person's vector, noised. It is kept in the file, sealed, since to noise it again would cost ε again."""
    place = (b"", b"noised vector")
    kept = kept_noise(keys.open(*place, file.read_bytes())) if file.exists() else None
    now = noised_once(noise_of_bundle(NOISE, bundle), embedding, kept)
    if now is not kept:
        replace(file, keys.seal(*place, now.to_bytes()))
    return now


def ask_elsewhere(embedding: UserEmbedding, bundle: ItemBundle, file: Path, keys: KeyRing) -> None:
    """What a device would send to a server that ranks for it: a vector that could nearly as well be another's."""
    first, again = [sendable(embedding, bundle, file, keys) for _ in range(2)]
    same = "the same" if first.noised.vector.tobytes() == again.noised.vector.tobytes() else "another"
    OUT.print(f"asked for twice: {same} vector; ε spent so far: {again.spent:g}")
    # As the server would rank; the device then leaves out what the person has met, which it tells nobody.
    scores = bundle.vectors.products(again.noised.vector)
    kinds = [bundle.titles[row].split()[-1] for row in np.argsort(-scores, kind="stable")[:TOP]]
    request = {**again.noised.asked(), "query_vector": "...", "k": 3 * TOP}
    OUT.print(f"the request: {json.dumps(request)}; {kinds.count('sea')} of its first {TOP} would be of the sea")


async def device(folder: Path, checkpoints: list[Checkpoint]) -> None:
    """All that a device does; the checkpoints are there to compare with, and no device has them."""
    OUT.rule("1. A bundle is believed where the pinned key signed every byte of it")
    bundle, pinned = verified(folder)
    keys = keys_from(keychain)
    async with open_sqlite(folder / "device.sqlite", keys) as stores:
        OUT.rule("2. What a person does is kept here, sealed, and ranked by here")
        show(bundle, await rank_for(stores, bundle, PERSON, TOP), "Of a stranger nothing is known; popular stories")
        events = evening(bundle)
        kept = [sum(await stores.events.put(events)) for _ in range(2)]
        OUT.print(f"{len(events)} events put twice: {kept[0]} kept, then {kept[1]}")
        show(bundle, await rank_for(stores, bundle, PERSON, TOP), "After eleven stories of the sea")
        met = bundle.vocabulary.known_rows((await stores.events.met(PERSON)).item_ids)
        people = [rows[rows < STORIES] for rows in made_up_world().met[-100:]]  # whom no training has seen
        OUT.print(
            f"a ranking takes {milliseconds(lambda: rank(bundle, met, TOP)):.2f} ms; of the {TOP} best by float32 "
            f"it has {shared_with_float32(bundle, checkpoints[0], people):.1%} (100 people)"
        )
        content = stolen(folder)
        found = await readable(stores, bundle, content)
        OUT.print(f"a stolen copy of the store, {len(content):,} bytes, shows {found} of its ids, items and numbers")

        OUT.rule("3. A new checkpoint comes as changes")
        delta, whole = ((folder / f"second.{kind}").stat().st_size for kind in ("delta", "bundle"))
        held = await refold_for(stores, bundle, PERSON)
        bundle = apply_delta(bundle, (folder / "second.delta").read_bytes(), pinned)
        replace(folder / "device.bundle", bundle.sealed.to_bytes())  # whole or not at all, for the next start
        OUT.print(f"{delta:,} bytes in place of {whole:,}; now {bundle.facts.items:,} stories")
        # An embedding means nothing to the items of another checkpoint, and says so.
        OUT.print(f"the old embedding: {refusal(lambda: rank(bundle, met, TOP, embedding=held))} ...")
        # Asked for the person again, the device folds the history in anew: that needs no more than what is here.
        show(bundle, await rank_for(stores, bundle, PERSON, TOP), "With the new stories")

        OUT.rule("4. Where a server ranks, it gets a noised vector")
        ask_elsewhere(await refold_for(stores, bundle, PERSON), bundle, folder / "noised.sealed", keys)

        OUT.rule("5. What is held of a person is theirs")
        document = await export_person(stores, PERSON)
        (folder / "export.json").write_text(json.dumps(document, indent=2))
        OUT.print(
            "export: " + ", ".join(f"{len(json.dumps(part)):,} bytes of {name}" for name, part in document.items())
        )
        receipt = await erase_person(stores, PERSON)
        (folder / "noised.sealed").unlink()
        OUT.print(f"receipt: {json.dumps(receipt.as_json())}")
        OUT.print(f"known now: {len((await stores.events.met(PERSON)).item_ids)} stories")


def main(folder: Path) -> None:
    """Go the whole way, with all files in that folder."""
    asyncio.run(device(folder, centre(folder)))


if __name__ == "__main__":
    if sys.argv[1:]:
        Path(sys.argv[1]).mkdir()
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name))
