"""Which director a node listens to: never an older one than it has heard, whatever is killed, restarted or lost in between."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from foreman.core.errors import DataDirectoryInvalid, DiskFault, ForeignGeneration, InvalidRequest, StaleGeneration
from foreman.core.generations import Generation, parse_generation
from foreman.node.data_directory import open_data_directory
from foreman.node.doctor import doctor
from foreman.node.generations import Generations, write_generation
from foreman.node.layout import Layout
from tests.processes.disk_steps import Steps, counted, every_death, failing

HERE, ELSEWHERE = "0123456789abcdef", "fedcba9876543210"
MADE = "log-3-0badcafe-0-00000000"


def generation(epoch: int, recovery_id: str = "0badcafe", directory: str = HERE) -> Generation:
    return Generation(epoch, recovery_id, directory)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "staging").mkdir()
    return Layout(tmp_path)


def opened(layout: Layout, workers: Sequence[str] = ()) -> Generations:
    return Generations(layout, lambda: workers)


async def test_an_older_director_is_refused_also_by_the_next_server(layout: Layout) -> None:
    node = opened(layout)
    await node.admit(generation(3), asks=False)
    await node.admit(generation(5), asks=True)
    await node.admit(generation(5), asks=False)
    for server in (node, opened(layout)):
        for asks in (False, True):
            with pytest.raises(StaleGeneration) as refused:
                await server.admit(generation(4), asks=asks)
            assert (refused.value.epoch, refused.value.newest_epoch) == (4, 5)


async def test_an_epoch_that_was_given_twice_counts_for_the_first_attempt_alone(layout: Layout) -> None:
    node = opened(layout)
    await node.admit(generation(3), asks=False)
    with pytest.raises(StaleGeneration):
        await node.admit(generation(3, "ffffffff"), asks=False)


async def test_workers_of_another_directory_are_kept_from_its_director(layout: Layout) -> None:
    await opened(layout).admit(generation(3), asks=False)
    node = opened(layout, [MADE, "by-hand"])
    with pytest.raises(ForeignGeneration) as refused:
        await node.admit(generation(9, directory=ELSEWHERE), asks=False)
    assert refused.value.workers == (MADE,)
    await node.admit(generation(9, directory=ELSEWHERE), asks=True)  # it may know what is here
    await node.admit(generation(3), asks=False)  # restored: as if nothing had been
    empty = opened(layout, ["by-hand"])
    await empty.admit(generation(1, directory=ELSEWHERE), asks=False)
    with pytest.raises(StaleGeneration):
        await empty.admit(generation(0, directory=ELSEWHERE), asks=False)


async def test_many_at_once_end_in_the_newest(layout: Layout) -> None:
    node = opened(layout)
    answers = await asyncio.gather(*(node.admit(generation(n), asks=False) for n in (2, 9, 1, 7, 9, 3)), return_exceptions=True)
    assert answers[1] is None
    assert answers[4] is None
    with pytest.raises(StaleGeneration):
        await opened(layout).admit(generation(8), asks=False)


async def test_a_caller_that_goes_away_takes_nothing_with_it(layout: Layout) -> None:
    node = opened(layout)
    await node.admit(generation(1), asks=False)
    gone = asyncio.create_task(node.admit(generation(5), asks=False))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await node.admit(generation(6), asks=False)
    with pytest.raises(StaleGeneration):
        await opened(layout).admit(generation(5), asks=False)


async def test_nobody_is_let_in_who_cannot_be_written_down(layout: Layout) -> None:
    node = opened(layout)
    await node.admit(generation(1), asks=False)
    with counted(Steps(1, before=failing(5))), pytest.raises(DiskFault):
        await node.admit(generation(2), asks=False)
    await node.admit(generation(1), asks=False)
    assert os.listdir(layout.staging) == []


async def test_a_damaged_file_lets_no_director_in_and_the_doctor_tells(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data", "demo") as data:
        layout = data.layout
    assert doctor(layout.root) == []
    for damaged in (b"", b"{}", b'{"format":1,"generation":"x"}', b'{"format":2,"generation":"3-0badcafe-0123456789abcdef"}'):
        layout.generation.write_bytes(damaged)
        with pytest.raises(DataDirectoryInvalid, match=r"generation\.json"):
            await opened(layout).admit(generation(9), asks=False)
        (finding,) = doctor(layout.root)
        assert "move it away" in finding.what


def test_killed_at_any_step_the_older_one_is_never_let_in_again(layout: Layout) -> None:
    async def hear(epoch: int) -> None:
        await opened(layout).admit(generation(epoch), asks=False)

    def prepare() -> None:
        layout.generation.unlink(missing_ok=True)
        write_generation(layout, generation(3))

    for death in every_death(lambda: write_generation(layout, generation(4)), prepare):
        with pytest.raises(StaleGeneration):
            asyncio.run(hear(2))
        assert asyncio.run(hear(4)) is None, death


@pytest.mark.parametrize("text", ["", "1", "1-0badcafe", "-1-0badcafe-0123456789abcdef", "1-0BADCAFE-0123456789abcdef", "1-0badcafe-01\n"])
def test_what_is_no_generation_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_generation(text)


def test_a_generation_is_read_as_it_was_written() -> None:
    assert parse_generation(str(generation(12))) == generation(12)
