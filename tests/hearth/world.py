"""Made-up worlds whose right answer is known: every person has one of two tastes, and met mostly items of it."""

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

TASTES = ("Even", "Odd")
START = 880_000_000  # seconds since 1970


def met_items(person: int, items: int, own: int, other: int) -> list[int]:
    """The items that a person met, first to last: person 0 has a taste for even items, person 1 for odd ones, ..."""
    random = np.random.default_rng([11, person])
    taste = person % 2
    of_taste = random.permutation(np.arange(taste, items, 2))[:own]
    of_other = random.permutation(np.arange(1 - taste, items, 2))[:other]
    order: list[int] = random.permutation(np.concatenate([of_taste, of_other])).tolist()
    return order


def small_world(folder: Path, people: int = 60, items: int = 40, own: int = 14, other: int = 2) -> Path:
    """A folder with interactions.csv and items.csv."""
    folder.mkdir()
    events = (
        (f"p{person}", f"i{item}", START + 60 * place, "view")
        for person in range(people)
        for place, item in enumerate(met_items(person, items, own, other))
    )
    catalogue = ((f"i{item}", f"Item {item}", TASTES[item % 2]) for item in range(items))
    (folder / "interactions.csv").write_text(table(("user_id", "item_id", "timestamp", "event"), events))
    (folder / "items.csv").write_text(table(("item_id", "title", "category"), catalogue))
    return folder


def world_of_films(folder: Path, people: int = 80, films: int = 200, own: int = 58, other: int = 7) -> Path:
    """A folder in the form of MovieLens-100K that Hearth writes; films of one's taste are rated 4 and 5, others 1 to 3.

    Titles hold what a terminal could take for markup.
    """
    folder.mkdir()
    ratings = []
    for person in range(people):
        random = np.random.default_rng([12, person])
        for place, film in enumerate(met_items(person, films, own, other)):
            stars = random.integers(4, 6) if film % 2 == person % 2 else random.integers(1, 4)
            ratings.append((person + 1, film + 1, START + 60 * place, "rating", stars))
    files = {
        "interactions.csv.gz": table(("user_id", "item_id", "timestamp", "event", "value"), ratings),
        "items.csv.gz": table(
            ("item_id", "title", "year", "category"),
            ((film + 1, f"[red]Été {film + 1}, [/] The", 1950 + film % 40, TASTES[film % 2]) for film in range(films)),
        ),
        "users.csv.gz": table(
            ("user_id", "age", "gender", "occupation", "zip_code"),
            ((person + 1, 30, "F", "writer", "02139") for person in range(people)),
        ),
    }
    for name, text in files.items():
        (folder / name).write_bytes(gzip.compress(text.encode(), mtime=0))
    return folder


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
