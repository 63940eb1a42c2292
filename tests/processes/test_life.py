"""One node with real workers: the mission's steps, and the ways in which workers, supervisor and server end."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from foreman import Foreman
from foreman.core.errors import (
    BatchFailed,
    DataDirectoryInUse,
    FailedToStart,
    ForemanTimeout,
    InvalidParams,
    InvalidRequest,
    InvalidWorkerId,
    UnknownKind,
    WorkerExists,
    WorkerNotFound,
    WorkersUnhealthy,
)
from foreman.core.health import Health
from foreman.core.interface import ForemanInterface
from foreman.core.views import ServiceInfo, WorkerInfo, WorkerRef
from tests.deadline import wait_until_async
from tests.processes.conftest import NodeProcess, StartNode
from tests.processes.kinds import BROOD, KINDS
from tests.processes.looking import counts, held_locks, leftovers, starts, worker_processes


async def until(foreman: ForemanInterface, id: str, holds: Callable[[WorkerInfo], bool]) -> WorkerInfo:
    async def found() -> WorkerInfo | None:
        info = await foreman.info(id)
        return info if holds(info) else None

    info = await wait_until_async(found, timeout_s=20, what=f"{id} as wished")
    assert info is not None
    return info


def pid_of(info: WorkerInfo) -> int:
    assert info.pid is not None
    return info.pid


async def test_a_new_worker_is_healthy_registered_and_listed_when_the_call_returns(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    ref = await foreman.new_worker("one", "good")
    assert ref == WorkerRef("one", "good", "test_one")
    assert await foreman.all() == [ref]
    assert await foreman.get_all_running_services() == [ServiceInfo("one", "good", "test_one")]
    info = await foreman.info("one")
    assert (info.state, info.health, info.restarts) == ("running", Health.ok(), 0)
    assert info.directory == str(data / "workers" / "one")
    assert info.status_text == "at work"
    assert info.endpoint is not None
    assert info.endpoint.startswith("unix:/")
    assert worker_processes(data) == {"one": [info.pid]}
    await foreman.wait_for_healthy(timeout=1)


async def test_the_same_worker_again_is_the_same_worker_and_another_is_refused(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    first = await foreman.new_worker("one", "good")
    assert await foreman.new_worker("one", "good", {}) == first
    with pytest.raises(WorkerExists):
        await foreman.new_worker("one", "stubborn")
    assert len(starts(data, "one")) == 1


async def test_what_is_wrong_is_refused_at_the_door(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    for id in ("", "..", "../evil", "a/b", "A", "a" * 64, "nul\0", "ä"):
        with pytest.raises(InvalidWorkerId):
            await foreman.new_worker(id, "good")
        with pytest.raises(InvalidWorkerId):
            await foreman.remove_worker(id)
    with pytest.raises(UnknownKind):
        await foreman.new_worker("one", "nothing")
    with pytest.raises(InvalidParams):
        await foreman.new_worker("one", "good", {"unknown": 1})
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidRequest):
            await foreman.new_worker("one", "good", timeout=timeout)
    with pytest.raises(InvalidRequest):
        await foreman.new_workers([("one", "good"), ("one", "good")])
    assert await foreman.all() == []
    assert list((data / "workers").iterdir()) == []
    assert await foreman.remove_workers(["no", "../evil"]) == {"no": WorkerNotFound("no"), "../evil": InvalidWorkerId("../evil")}


async def test_removal_leaves_nothing_behind(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_workers([("a", "good"), ("b", "stubborn"), ("c", "brooding")])
    assert await foreman.remove_workers(["a", "b", "c"]) == {"a": None, "b": None, "c": None}
    assert await foreman.all() == []
    assert list((data / "workers").iterdir()) == []
    await wait_until_async(lambda: not leftovers(data), what="nothing left over")
    assert counts(data) == {}
    with pytest.raises(WorkerNotFound):
        await foreman.remove_worker("a")


async def test_a_brood_ends_with_its_worker(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("hen", "brooding")
    assert counts(data)["hen"] == BROOD + 1
    os.kill(pid_of(await foreman.info("hen")), signal.SIGKILL)
    await until(foreman, "hen", lambda info: info.restarts == 1 and info.health.is_ok)
    assert counts(data)["hen"] == BROOD + 1


async def test_a_killed_worker_comes_back_and_its_story_says_why(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("one", "good")
    before = await foreman.info("one")
    os.kill(pid_of(before), signal.SIGKILL)
    after = await until(foreman, "one", lambda info: info.restarts == 1 and info.health.is_ok)
    assert after.pid != before.pid
    assert after.last_exit is not None
    assert after.last_exit.status == "SIGKILL"
    assert any("SIGKILL" in line.reason for line in await foreman.why("one"))
    assert counts(data) == {"one": 1}


async def test_half_of_the_workers_killed_at_once_all_come_back(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_workers([(f"w{number}", "good") for number in range(10)])
    for number in range(5):
        os.kill(pid_of(await foreman.info(f"w{number}")), signal.SIGKILL)
    for number in range(5):
        await until(foreman, f"w{number}", lambda info: info.restarts == 1 and info.health.is_ok)
    assert counts(data) == {f"w{number}": 1 for number in range(10)}


async def test_a_worker_that_cannot_start_fails_the_call_and_stays_visible(start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    with pytest.raises(FailedToStart, match="exit 3"):
        await foreman.new_worker("bad", "crashing")
    assert [ref.id for ref in await foreman.all()] == ["bad"]
    await until(foreman, "bad", lambda info: info.state == "failed")
    with pytest.raises(WorkersUnhealthy) as unhealthy:
        await foreman.wait_for_healthy(timeout=5)
    assert "bad" in unhealthy.value.workers
    assert (await foreman.health()) == Health.failed_to_start("at_least_one_failed_to_start")
    await foreman.remove_worker("bad")
    assert await foreman.health() == Health.ok()


async def test_a_worker_that_never_says_that_it_is_ready_fails_at_its_deadline(start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    with pytest.raises(FailedToStart, match="not ready within"):
        await foreman.new_worker("dumb", "mute", timeout=10)
    with pytest.raises(ForemanTimeout):
        await foreman.restart_worker("dumb", timeout=0.1)


async def test_a_batch_with_one_bad_worker_makes_nothing(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    with pytest.raises(BatchFailed) as failed:
        await foreman.new_workers([("a", "good"), ("b", "crashing"), ("c", "good")])
    assert "b" in failed.value.failures
    assert await foreman.all() == []
    await wait_until_async(lambda: not leftovers(data), what="nothing left over")
    assert list((data / "workers").iterdir()) == []
    assert counts(data) == {}


async def test_a_worker_that_ends_normally_is_finished_and_does_not_count(start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("brief", "finishing")
    info = await until(foreman, "brief", lambda info: info.state == "finished")
    assert info.pid is None
    assert await foreman.health() == Health.ok()
    assert await foreman.get_all_running_services() == []


async def test_a_stopped_worker_hangs_and_the_watchdog_brings_it_back(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("one", "watched")
    before = pid_of(await foreman.info("one"))
    os.kill(before, signal.SIGSTOP)
    after = await until(foreman, "one", lambda info: info.health.is_ok and info.pid not in (None, before))
    assert after.restarts == 1
    assert counts(data) == {"one": 1}


async def test_health_that_a_worker_reports_decides_whether_it_is_a_service(start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("one", "good")
    await foreman.report_health("one", Health.error("disk on fire"))
    assert (await foreman.info("one")).health == Health.error("disk on fire")
    assert await foreman.get_all_running_services() == []
    await foreman.report_health("one", Health.ok())
    assert len(await foreman.get_all_running_services()) == 1
    with pytest.raises(WorkerNotFound):
        await foreman.report_health("nobody", Health.ok())
    with pytest.raises(InvalidRequest):
        await foreman.report_health("one", Health.stopped())


async def test_a_flood_of_notifications_and_of_output_disturbs_nobody(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("loud", "loud")
    await foreman.new_worker("flood", "flooding")
    await foreman.new_worker("one", "good", timeout=10)
    chunks = [chunk async for chunk in foreman.output("loud")]
    assert b"".join(chunks).endswith(f"{(3 << 20) // 64 - 1:063d}\n".encode())
    assert await foreman.remove_workers(["loud", "flood", "one"]) == {"loud": None, "flood": None, "one": None}


async def test_output_is_followed_until_the_worker_is_gone(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("loud", "loud")
    seen = bytearray()

    async def follow() -> None:
        async for chunk in foreman.output("loud", follow=True):
            seen.extend(chunk)

    following = asyncio.ensure_future(follow())
    await wait_until_async(lambda: len(seen) >= 3 << 20, what="all of it")
    await foreman.restart_worker("loud")
    await wait_until_async(lambda: len(seen) >= 6 << 20, what="what the next start writes")
    await foreman.remove_worker("loud")
    async with asyncio.timeout(10):
        await following
    with pytest.raises(WorkerNotFound):
        foreman.output("loud")


async def test_stopped_stays_stopped_over_a_restart_of_the_node(data: Path, start_node: StartNode) -> None:
    node = await start_node()
    await node.foreman.new_workers([("a", "good"), ("b", "good")])
    await node.foreman.stop_worker("a")
    assert counts(data) == {"b": 1}
    assert (await node.foreman.info("a")).health == Health.stopped()
    await node.stop()
    assert counts(data) == {}
    node = await start_node()
    await node.foreman.wait_for_healthy()
    assert counts(data) == {"b": 1}
    await node.foreman.start_worker("a")
    assert counts(data) == {"a": 1, "b": 1}


async def test_when_the_supervisor_dies_its_workers_come_back_under_another(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_workers([(f"w{number}", "good") for number in range(5)])
    before = {info.id: info.pid for info in await foreman.infos()}
    supervisor = (await foreman.node()).supervisor_pid
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    for id, pid in before.items():
        await until(foreman, id, lambda info, pid=pid: info.health.is_ok and info.pid not in (None, pid))  # type: ignore[misc]
    assert (await foreman.node()).supervisor_pid != supervisor
    assert counts(data) == dict.fromkeys(before, 1)
    assert held_locks(data) == set(before)


async def test_a_killed_server_is_followed_by_one_that_adopts_everything(
    data: Path, start_node: StartNode, run_process: Callable[..., Awaitable[NodeProcess]]
) -> None:
    process = await run_process("batch_create")
    before = worker_processes(data)
    await process.kill()
    assert worker_processes(data) == before
    foreman = (await start_node()).foreman
    assert {info.id: [info.pid] for info in await foreman.infos()} == before
    assert all(info.health.is_ok and info.restarts == 0 for info in await foreman.infos())
    assert all(len(starts(data, id)) == 1 for id in before)
    os.kill(before["b1"][0], signal.SIGKILL)
    await until(foreman, "b1", lambda info: info.restarts == 1 and info.health.is_ok)


async def test_a_second_server_on_the_same_data_is_refused(data: Path, start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    await foreman.new_worker("one", "good")
    with pytest.raises(DataDirectoryInUse):
        await start_node()
    assert counts(data) == {"one": 1}


async def test_foreign_and_broken_directories_are_shown_and_never_touched(data: Path, start_node: StartNode) -> None:
    node = await start_node()
    await node.foreman.new_worker("one", "good")
    await node.stop()
    (data / "workers" / "torn").mkdir()
    (data / "workers" / "torn" / "manifest.json").write_text('{"format": 1, "clu')
    (data / "workers" / "lost+found").mkdir()
    node = await start_node()
    infos = {info.id: info for info in await node.foreman.infos()}
    assert infos.keys() == {"one", "torn"}
    assert infos["torn"].health.status == "failed_to_start"
    await until(node.foreman, "one", lambda info: info.health.is_ok)
    assert (data / "workers" / "torn" / "manifest.json").read_text() == '{"format": 1, "clu'


async def test_events_tell_every_change_in_order(start_node: StartNode) -> None:
    foreman = (await start_node()).foreman
    events = foreman.events()
    await foreman.new_worker("one", "good")
    await foreman.remove_worker("one")
    seen = []
    async for event in events:
        seen.append(event)
        if type(event).__name__ == "WorkerRemoved":
            break
    assert [event.sequence for event in seen] == list(range(seen[0].sequence, seen[0].sequence + len(seen)))
    states = [event.state for event in seen if type(event).__name__ == "WorkerChanged"]  # type: ignore[union-attr]
    assert states[0] == "preparing"
    assert "running" in states
    await events.aclose()  # type: ignore[attr-defined]


async def test_embedded_and_connected_are_the_same_foreman(tmp_path: Path) -> None:
    async with Foreman.open(tmp_path / "data", cluster="demo", kinds=KINDS) as here:
        await here.new_worker("one", "good")
        async with Foreman.connect(tmp_path / "data") as there:
            assert await there.all() == await here.all()
            assert await there.info("one") == await here.info("one")
            assert await there.get_all_running_services() == await here.get_all_running_services()
            with pytest.raises(WorkerNotFound):
                await there.info("nobody")
    assert counts(tmp_path / "data") == {}
