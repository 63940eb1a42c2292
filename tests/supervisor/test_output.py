"""A worker's output: kept, rotated, bounded; a full disk or a flood harms nobody."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreman.supervisor.protocol import Exited, OutputLost
from foreman.supervisor.start_request import Output
from tests.deadline import wait_until_async
from tests.supervisor.conftest import Bench


async def until_written(folder: Path) -> None:
    """``writes`` has said its last line, and it is in the file."""
    await wait_until_async(lambda: "00009999 " in "".join(file.read_text() for file in folder.glob("current")))


async def test_both_streams_are_kept_in_order_to_the_last_byte(bench: Bench) -> None:
    await bench.start("a", "says_hello")
    await bench.ended("a")
    assert bench.output("a") == "to stdout\nto stderr\nno newline"
    again = await bench.start("a", ("sh", "-c", "echo again; echo and >&2"))
    await bench.until(Exited, "a", lambda news: news.incarnation == again.incarnation)
    assert bench.output("a").endswith("no newlineagain\nand\n")


async def test_output_is_rotated_and_bounded(bench: Bench) -> None:
    spec = Output(str(bench.directory("a") / "output"), max_bytes=50_000, files=3)
    await bench.start("a", "writes", output=spec, env={"FOREMAN_PARAMS": '{"bytes": 1000000}'})
    await bench.ready("a")
    folder = Path(spec.directory)
    await until_written(folder)
    assert sorted(os.listdir(folder)) == ["1", "2", "current"]
    kept = b"".join((folder / name).read_bytes() for name in ("2", "1", "current"))
    assert 100_000 <= len(kept) <= 150_000
    numbers = [int(line[:8]) for line in kept.decode().splitlines()[1:]]
    assert numbers == list(range(numbers[0], 10_000)), "the newest, without a gap"


async def test_one_file_alone_is_begun_anew(bench: Bench) -> None:
    spec = Output(str(bench.directory("a") / "output"), max_bytes=10_000, files=1)
    await bench.start("a", "writes", output=spec, env={"FOREMAN_PARAMS": '{"bytes": 1000000}'})
    await bench.ready("a")
    await until_written(Path(spec.directory))
    assert os.listdir(spec.directory) == ["current"]
    assert (Path(spec.directory) / "current").stat().st_size <= 10_000


async def test_a_flood_of_output_delays_nobody(bench: Bench) -> None:
    for number in range(3):
        spec = Output(str(bench.directory(f"flood{number}") / "output"), max_bytes=1 << 20, files=2)
        await bench.start(f"flood{number}", "floods_output", output=spec)
        await bench.ready(f"flood{number}")
    for number in range(10):
        request = await bench.start(f"w{number}", "ready")
        await bench.ready(request.id)
        await bench.client.kill(request.id, request.incarnation)
        await bench.ended(request.id)
    for number in range(3):
        assert sum(file.stat().st_size for file in (bench.directory(f"flood{number}") / "output").iterdir()) <= 2 << 20


@pytest.fixture
def small_disk(root: Path) -> Iterator[Path]:
    path = root / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


async def test_a_full_disk_loses_output_and_nothing_else(bench: Bench, small_disk: Path) -> None:
    spec = Output(str(small_disk / "output"), max_bytes=1 << 20, files=2)
    request = await bench.start("a", "writes", output=spec, env={"FOREMAN_PARAMS": '{"bytes": 500000}'})
    await bench.ready("a")  # it could write everything
    lost = await bench.until(OutputLost, "a")
    assert lost.errno == 28
    await bench.until_listed(bench.client, lambda listed: listed[0].output_lost_bytes >= 500_000 - 65_536)
    await bench.client.kill("a", request.incarnation)
    await bench.ended("a")


async def test_an_output_directory_that_cannot_be_made_loses_output_only(bench: Bench) -> None:
    await bench.start("a", "says_hello", output=Output("/proc/nowhere/output"))
    assert (await bench.ended("a")).code == 0
    assert (await bench.until(OutputLost, "a")).lost_bytes > 0


async def test_a_symbolic_link_in_the_way_is_not_followed(bench: Bench) -> None:
    folder = bench.directory("a") / "output"
    folder.mkdir(parents=True)
    target = bench.root / "precious"
    target.touch()
    (folder / "current").symlink_to(target)
    await bench.start("a", "says_hello")
    await bench.ended("a")
    assert target.read_text() == ""
