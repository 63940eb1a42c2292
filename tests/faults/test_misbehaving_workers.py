"""Programs that behave in every wrong way, on a whole node: what the operator sees, and that nobody else is disturbed."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from foreman import Foreman, Health
from foreman.core.errors import FailedToStart, ForemanTimeout, WorkersUnhealthy
from foreman.core.interface import ForemanInterface
from tests.deadline import wait_until_async
from tests.faults.conftest import Up, pid_of, until
from tests.processes.looking import counts, held_locks, leftovers, worker_processes

PROGRAM: Final = Path(__file__).with_name("misbehaving.py")
OUTPUT_MAX: Final = 1 << 20
MODES: Final = {
    "brood": "stop = { grace = 0.2 }",
    "foreign_ready": "start_timeout = 3",
    "ready_then_exit": "",
    "flood": "",
    "loud": "",
    "deaf": "stop = { grace = 0.3 }",
    "polite": 'stop = { signal = "INT", grace = 20 }',
    "hang": "start_timeout = 60",
    "slow": "start_timeout = 0.5",
    "watched": "watchdog = 0.5",
    "greedy": 'limits = { memory = "256MiB" }',
}


def configuration() -> str:
    run = [sys.executable, "-I", "-S", str(PROGRAM)]
    kinds = [f"[kinds.{mode}]\ncommand = {json.dumps([*run, mode])}\n{more}\n" for mode, more in MODES.items()]
    return "\n".join(
        [
            "[node]",
            'cluster = "test"',
            "[supervision]",
            "max_restarts = 3",
            "backoff = { base = 0.02, cap = 0.1 }",
            "[disk]",
            f"output_max = {OUTPUT_MAX}",
            "[kinds.exits_0]",
            'command = ["true"]',
            'ready = "started"',
            "[kinds.exits_1]",
            'command = ["false"]',
            "[kinds.sleep]",
            'command = ["sleep", "1000000"]',
            'ready = "started"',
            *kinds,
        ]
    )


@pytest.fixture
async def foreman(node: Up) -> AsyncIterator[ForemanInterface]:
    node.config.write_text(configuration())
    await node.up()
    async with Foreman.connect(node.data) as there:
        yield there


def working_in(directory: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("how", ["remove", "kill", "kill the supervisor"])
async def test_fifty_grandchildren_go_with_their_worker(how: str, node: Up, foreman: ForemanInterface) -> None:
    await foreman.new_worker("one", "brood")
    place = node.data / "workers" / "one"
    await wait_until_async(lambda: len(working_in(place)) == 51, what="the whole brood")
    brood, leader = set(working_in(place)), await pid_of(foreman, "one")
    if how == "remove":
        await foreman.remove_worker("one")
        assert not brood & set(working_in(node.data))
        assert leftovers(node.data) == []
        return
    supervisor = (await foreman.node()).supervisor_pid
    assert supervisor is not None
    os.kill(leader if how == "kill" else supervisor, signal.SIGKILL)
    await until(foreman, "one", lambda info: info.health.is_ok and info.pid not in (None, leader))
    await wait_until_async(lambda: len(working_in(place)) == 51, what="one brood, not two")
    assert not brood & set(working_in(place))


async def test_a_stranger_who_says_ready_is_not_believed(node: Up, foreman: ForemanInterface) -> None:
    creating = asyncio.ensure_future(foreman.new_worker("one", "foreign_ready"))
    where = node.data / "workers" / "one" / "data" / "notify"
    await wait_until_async(lambda: where.is_file() and where.read_text())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1\nX_FOREMAN_HEALTH=ok", where.read_text())
    with pytest.raises(FailedToStart, match=r"not ready within 3(\.\d+)? s"):
        await creating
    assert await foreman.get_all_running_services() == []


async def test_ready_and_then_gone_is_given_up_and_told(node: Up, foreman: ForemanInterface) -> None:
    """READY=1 may be believed for a moment; in the end it is what it is."""
    with contextlib.suppress(FailedToStart):
        await foreman.new_worker("one", "ready_then_exit")
    info = await until(foreman, "one", lambda info: info.state == "failed")
    assert info.health.status == "failed_to_start"
    assert "given up after 3 restarts" in (info.health.reason or "")
    assert await foreman.get_all_running_services() == []
    assert counts(node.data) == {}


async def test_who_exits_at_once_for_ever_is_given_up_visibly(node: Up, foreman: ForemanInterface) -> None:
    told = await node.cli("new", "one", "--kind", "exits_1")
    assert told.code == 1
    assert told.err.count("\n") == 1
    assert "worker one failed to start: exit 1 before it was ready" in told.err
    await until(foreman, "one", lambda info: info.state == "failed")
    listed = await node.cli("ls")
    assert "given up after 3 restarts" in listed.out
    story = await node.cli("why", "one")
    assert "given up and the cluster is told" in story.out
    assert story.out.count("the supervisor is asked to start it") == 4
    before = time.monotonic()
    with pytest.raises(WorkersUnhealthy):
        await foreman.wait_for_healthy(timeout=30)
    assert time.monotonic() - before < 5, "waiting cannot help, so it fails early"
    waited = await node.cli("wait")
    assert (waited.code, waited.err.count("\n")) == (1, 1)
    assert (await node.cli("rm", "one")).code == 0
    assert (await node.cli("health")).code == 0


async def test_a_normal_end_is_finished_and_no_service(foreman: ForemanInterface) -> None:
    with contextlib.suppress(FailedToStart):
        await foreman.new_worker("one", "exits_0")
    info = await until(foreman, "one", lambda info: info.state in ("finished", "failed"))
    assert info.pid is None
    assert await foreman.get_all_running_services() == []
    await foreman.remove_worker("one")


async def test_a_flood_of_datagrams_delays_nobody(foreman: ForemanInterface) -> None:
    await foreman.new_workers([("flood_1", "flood"), ("flood_2", "flood")])
    took = []
    for number in range(10):
        before = time.monotonic()
        await foreman.new_worker(f"w{number}", "sleep")
        took.append(time.monotonic() - before)
    print(f"create beside two floods: median {sorted(took)[5] * 1e3:.0f} ms, worst {max(took) * 1e3:.0f} ms")
    assert (await foreman.info("flood_1")).health.is_ok
    await foreman.remove_workers(["flood_1", "flood_2"])
    await foreman.wait_for_healthy()


async def test_output_is_bounded_on_disk(node: Up, foreman: ForemanInterface) -> None:
    await foreman.new_worker("one", "loud")
    await until(foreman, "one", lambda info: info.status_text == "said it all")
    sizes = [path.stat().st_size for path in (node.data / "workers" / "one" / "output").iterdir()]
    assert 0 < sum(sizes) <= OUTPUT_MAX
    assert (await node.cli("output", "one")).out.count("x") >= OUTPUT_MAX / 4


async def test_who_is_deaf_to_term_is_killed_after_its_grace(node: Up, foreman: ForemanInterface) -> None:
    await foreman.new_worker("one", "deaf")
    before = time.monotonic()
    await foreman.remove_worker("one")
    assert 0.3 <= time.monotonic() - before < 5
    assert counts(node.data) == {}


async def test_the_stop_signal_is_the_kinds_and_a_fast_end_does_not_wait_for_the_grace(node: Up, foreman: ForemanInterface) -> None:
    await foreman.new_worker("one", "polite")
    await foreman.stop_worker("one")
    assert (node.data / "workers" / "one" / "data" / "left").read_text() == "by INT"


async def test_a_start_that_hangs_delays_no_other(node: Up, foreman: ForemanInterface) -> None:
    hung = [asyncio.ensure_future(foreman.new_worker(f"hung_{number}", "hang", timeout=20)) for number in range(40)]
    await wait_until_async(lambda: len(worker_processes(node.data)) > 10, what="as many as start side by side")
    before = time.monotonic()
    await foreman.new_worker("good", "sleep", timeout=15)
    print(f"create beside 40 hung starts: {(time.monotonic() - before) * 1e3:.0f} ms")
    results = await foreman.remove_workers([f"hung_{number}" for number in range(40)])
    assert set(results.values()) == {None}
    assert all(isinstance(error, Exception) for error in await asyncio.gather(*hung, return_exceptions=True))
    assert [ref.id for ref in await foreman.all()] == ["good"]


async def test_who_asks_for_more_time_to_start_gets_it(foreman: ForemanInterface) -> None:
    await foreman.new_worker("one", "slow")
    info = await foreman.info("one")
    assert (info.restarts, info.status_text) == (0, "loaded")


async def test_a_stopped_process_that_promised_to_be_heard_is_replaced(node: Up, foreman: ForemanInterface, stopped: list[int]) -> None:
    await foreman.new_worker("one", "watched")
    stopped.append(await pid_of(foreman, "one"))
    os.kill(stopped[0], signal.SIGSTOP)
    await until(foreman, "one", lambda info: info.health.is_ok and info.pid not in (None, stopped[0]))
    assert counts(node.data) == {"one": 1}
    assert "fell silent" in (await node.cli("why", "one")).out


async def test_memory_is_limited(foreman: ForemanInterface) -> None:
    await foreman.new_worker("one", "greedy")


async def test_half_of_a_hundred_killed_at_once_are_all_back(node: Up, foreman: ForemanInterface) -> None:
    await foreman.new_workers([(f"w{number:02}", "sleep") for number in range(100)])
    victims = [await pid_of(foreman, f"w{number:02}") for number in range(0, 100, 2)]
    before = time.monotonic()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    async def all_back() -> bool:
        infos = await foreman.infos()
        return all(info.health.is_ok and info.pid not in (None, *victims) for info in infos)

    await wait_until_async(all_back, timeout_s=20, what="all back")
    print(f"50 of 100 killed at once, all back: {time.monotonic() - before:.2f} s")
    assert set(counts(node.data).values()) == {1}
    assert len(held_locks(node.data)) == 100
    assert len(await foreman.get_all_running_services()) == 100
    assert set((await foreman.remove_workers([ref.id for ref in await foreman.all()])).values()) == {None}


async def test_a_time_out_of_the_caller_ends_nothing(foreman: ForemanInterface) -> None:
    with pytest.raises(ForemanTimeout):
        await foreman.new_worker("one", "hang", timeout=0.2)
    assert (await foreman.info("one")).health == Health.starting()
    with pytest.raises(ForemanTimeout):
        await foreman.wait_for_healthy(timeout=0.2)
    await foreman.remove_worker("one")
    await foreman.wait_for_healthy(timeout=0.2)
