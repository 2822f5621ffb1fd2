"""A watched file: what can be used of it is, and nothing else ever takes its place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from feature_store.errors import BadInput
from serving.watched_file import WatchedFile


def number_in(file: Path, content: bytes) -> int:
    try:
        return int(content)
    except ValueError:
        raise BadInput(f"{file} holds no number") from None


class Watched:
    def __init__(self, file: Path) -> None:
        self.registry = CollectorRegistry()
        loads = Counter("loads", "of files", ("file", "outcome"), registry=self.registry)
        self.file = WatchedFile(file, number_in, "number", loads)

    async def look(self) -> None:
        digest = self.file.digest()
        if digest is not None and self.file.has_changed(digest):
            await self.file.take(digest)

    def loads(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("loads_total", {"file": "number", "outcome": outcome})


@pytest.mark.anyio
async def test_content_that_cannot_be_used_leaves_the_old_and_is_told_once_until_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("1")
    watched = Watched(file)
    assert (watched.loads("success"), watched.loads("failure")) == (0, 0)
    file.write_text("one")
    for _ in range(3):
        await watched.look()
        assert (watched.file.value, watched.file.failure) == (1, "BadInput")
    assert watched.loads("failure") == 1
    file.unlink()
    for _ in range(3):
        await watched.look()
        assert (watched.file.value, watched.file.failure) == (1, "FileNotFoundError")
    assert watched.loads("failure") == 2
    file.write_text("1")
    await watched.look()
    assert (watched.file.value, watched.file.failure) == (1, None)
    file.write_text("2")
    await watched.look()
    assert (watched.file.value, watched.file.failure, watched.loads("success")) == (2, None, 1)


@pytest.mark.anyio
async def test_a_file_that_changes_between_two_looks_is_left_for_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("1")
    watched = Watched(file)
    file.write_text("1234")
    half_written = watched.file.digest()
    file.write_text("12345678")
    assert half_written is not None
    await watched.file.take(half_written)
    assert (watched.file.value, watched.file.failure) == (1, None)
    await watched.look()
    assert watched.file.value == 12345678


@pytest.mark.anyio
async def test_what_has_to_be_there_before_its_use_is_made_before_and_a_failure_of_that_keeps_it_out(
    tmp_path: Path,
) -> None:
    file = tmp_path / "number"
    file.write_text("1")
    watched = Watched(file)
    seen = []

    async def prepare(new: int) -> None:
        seen.append((watched.file.value, new))
        if new == 2:
            raise BadInput("not this one")

    watched.file.before_use(prepare)
    for content in ("2", "3"):
        file.write_text(content)
        await watched.look()
    assert seen == [(1, 2), (1, 3)]
    assert watched.file.value == 3


@pytest.mark.anyio
async def test_an_error_that_nobody_foresaw_is_told_until_the_content_can_be_used(tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("1")
    watched = Watched(file)
    fails = True

    async def prepare(new: int) -> None:
        if fails:
            raise ZeroDivisionError(f"nobody foresaw this of {new}")

    watched.file.before_use(prepare)
    file.write_text("2")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await watched.look()
        assert (watched.file.value, watched.file.failure) == (1, "ZeroDivisionError")
    assert watched.loads("failure") == 1
    fails = False
    await watched.look()
    assert (watched.file.value, watched.file.failure, watched.loads("success")) == (2, None, 1)


@pytest.mark.anyio
@settings(max_examples=30, deadline=None)
@given(contents=st.lists(st.sampled_from(["1", "2", "3", "one", "", None]), max_size=12))
async def test_in_use_is_always_the_last_content_that_was_a_number(
    contents: list[str | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("watched") / "number"
    file.write_text("7")
    watched, last = Watched(file), 7
    for content in contents:
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_text(content)
        await watched.look()
        last = int(content) if content and content.isdecimal() else last
        assert watched.file.value == last
        assert (watched.file.failure is None) == bool(content and content.isdecimal())


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("one")
    with pytest.raises(BadInput, match="holds no number"):
        Watched(tmp_path / "number")
    with pytest.raises(FileNotFoundError):
        Watched(tmp_path / "none")


@pytest.mark.anyio
async def test_where_a_file_beside_it_changes_it_is_read_again(tmp_path: Path) -> None:
    file, unit = tmp_path / "number", tmp_path / "unit"
    file.write_text("1")
    unit.write_text("10")
    loads = Counter("loads", "of files", ("file", "outcome"), registry=CollectorRegistry())
    watched = WatchedFile(file, lambda at, content: number_in(at, content) * int(unit.read_text()), "n", loads, [unit])

    async def look() -> int:
        digest = watched.digest()
        if digest is not None and watched.has_changed(digest):
            await watched.take(digest)
        return watched.value

    assert await look() == 10
    unit.write_text("100")
    assert await look() == 100
    file.write_text("110")  # with "00" beside it the same letters, and another content
    unit.write_text("0")
    assert await look() == 0
    unit.unlink()
    assert (await look(), watched.failure) == (0, "FileNotFoundError")
