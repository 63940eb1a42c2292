"""A worker's end: how it is told, and that nothing of it is left when it is."""

import asyncio
import fcntl
import os
import signal
from contextlib import suppress

import pytest

from foreman.kernel.processes import environment_of, stat_of
from foreman.supervisor.protocol import Exited, Refused
from tests.deadline import wait_until
from tests.supervisor.conftest import Bench


def lock_is_free(bench: Bench, id: str) -> bool:
    fd = os.open(bench.directory(id) / "lock", os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def alive(pid: int) -> bool:
    """Whether it runs; a zombie, which only waits for a parent that is not ours, does not."""
    stat = stat_of(pid)
    return stat is not None and stat.state not in "ZX"


def hides(pid: int) -> bool:
    """Whether it is one of those that shed environment and lock."""
    return not environment_of(pid)


def pids_of(bench: Bench, id: str) -> list[int]:
    return [int(name) for name in os.listdir(bench.directory(id) / "data" / "pids") if name.isdecimal()]


@pytest.mark.parametrize(
    ("program", "code", "signum"),
    [
        ("exits_0", 0, None),
        ("exits_7", 7, None),
        ("raises", 1, None),
        ("ends_itself", None, signal.SIGTERM),
        (("true",), 0, None),
        (("sh", "-c", "exit 9"), 9, None),
        (("sh", "-c", "kill -KILL $$"), None, signal.SIGKILL),
    ],
)
async def test_an_end_is_told_with_its_code_or_signal(
    bench: Bench, program: str | tuple[str, ...], code: int | None, signum: int | None
) -> None:
    await bench.start("a", program)
    ended = await bench.ended("a")
    assert (ended.code, ended.signal) == (code, signum)
    assert lock_is_free(bench, "a")
    assert await bench.client.list() == []


async def test_what_a_worker_raises_stands_in_its_output_without_our_own_frames(bench: Bench) -> None:
    await bench.start("a", "raises")
    await bench.ended("a")
    assert "RuntimeError: on purpose" in bench.output("a")
    assert "supervisor/child.py" not in bench.output("a")


async def test_a_worker_stops_on_term(bench: Bench) -> None:
    request = await bench.start("a", "ready")
    await bench.ready("a")
    await bench.client.signal("a", request.incarnation, signal.SIGTERM)
    assert (await bench.ended("a")).signal == signal.SIGTERM


async def test_a_worker_that_ignores_term_goes_by_kill(bench: Bench) -> None:
    request = await bench.start("a", "ignores_term")
    await bench.ready("a")
    await bench.client.signal("a", request.incarnation, signal.SIGTERM, group=True)
    assert not [news for news in bench.heard if isinstance(news, Exited)]
    await bench.client.kill("a", request.incarnation)
    assert (await bench.ended("a")).signal == signal.SIGKILL


async def test_a_stopped_worker_goes_by_kill(bench: Bench) -> None:
    request = await bench.start("a", "ready")
    await bench.client.signal("a", request.incarnation, signal.SIGSTOP)
    await bench.client.kill("a", request.incarnation)
    assert (await bench.ended("a")).signal == signal.SIGKILL


async def test_signals_reach_no_other_incarnation(bench: Bench) -> None:
    await bench.start("a", "ready")
    for call in (bench.client.kill("a", "other"), bench.client.signal("a", "other", 9), bench.client.kill("b", "x")):
        with pytest.raises(Refused) as refused:
            await call
        assert refused.value.refusal.code == "not_running"
    assert len(await bench.client.list()) == 1


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_fifty_grandchildren_are_gone_before_the_exit_is_told(bench: Bench, signum: int) -> None:
    request = await bench.start("a", "grandchildren")
    await bench.start("other", "ready")
    await bench.ready("a")
    left = pids_of(bench, "a")
    assert len(left) == 50
    assert all(alive(pid) for pid in left)
    await bench.client.signal("a", request.incarnation, signum)
    await bench.ended("a")
    assert not [pid for pid in left if alive(pid)]
    assert lock_is_free(bench, "a")
    assert [worker.id for worker in await bench.client.list()] == ["other"]


@pytest.mark.parametrize("bare", ["", "yes"])
async def test_a_stray_that_left_the_session_is_killed_with_its_worker(bench: Bench, bare: str) -> None:
    await bench.start("a", "stray_then_exit", env={"FOREMAN_PARAMS": f'{{"bare": "{bare}"}}'})
    assert (await bench.ended("a")).code == 3
    assert not [pid for pid in pids_of(bench, "a") if alive(pid)]


async def test_the_grandchildren_of_others_are_left_alone(bench: Bench) -> None:
    await bench.start("keeps", "keeps_strays")
    await bench.ready("keeps")
    request = await bench.start("a", "ready")
    await bench.client.kill("a", request.incarnation)
    await bench.ended("a")
    kept = pids_of(bench, "keeps")
    assert len(kept) == 4
    assert all(alive(pid) for pid in kept)


async def test_an_end_before_the_start_is_told_is_still_told_in_order(bench: Bench) -> None:
    requests = [bench.request(f"w{number}", ("true",)) for number in range(30)]
    await asyncio.gather(*(bench.client.start(request) for request in requests))
    for request in requests:
        await bench.ended(request.id)
        kinds = [type(news).__name__ for news in bench.heard if news.id == request.id]
        assert kinds == ["Started", "Exited"]


async def test_the_workers_die_with_a_killed_supervisor(bench: Bench) -> None:
    for id, program in (("a", "ready"), ("b", ("sleep", "600")), ("c", "ignores_term")):
        await bench.start(id, program)
    pids = [worker.pid for worker in await bench.client.list()]
    os.kill(bench.client.welcome.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        assert (await bench.client.lost).exited
    wait_until(lambda: not [pid for pid in pids if alive(pid)])
    assert all(lock_is_free(bench, id) for id in ("a", "b", "c"))


async def test_a_new_supervisor_ends_what_a_killed_one_left(bench: Bench) -> None:
    await bench.start("a", "grandchildren")
    await bench.ready("a")
    left = pids_of(bench, "a")
    os.kill(bench.client.welcome.pid, signal.SIGKILL)
    await bench.client.lost
    await bench.detach()
    await bench.attach(preload=("tests.supervisor.workers",))
    assert await bench.client.list() == []
    assert [pid for pid in left if alive(pid) and not hides(pid)] == []
    await bench.start("a", "ready")  # the lock is free at once
    for pid in left:  # hidden ones, without environment and lock, are nobody's once their supervisor is dead
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
