"""The remote Foreman means the same as the one it talks to: same answers, same types, same errors."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from foreman import Health
from foreman.api import watching
from foreman.api.app import create_app
from foreman.api.client import RemoteForeman
from foreman.api.listeners import Listener, bind_unix
from foreman.api.serving import serving
from foreman.core.interface import ForemanInterface
from foreman.core.views import HealthChanged, WorkerChanged
from foreman.errors import (
    FailedToStart,
    ForemanError,
    ForemanTimeout,
    ForemanUnavailable,
    InvalidParams,
    InvalidRequest,
    InvalidWorkerId,
    UnknownKind,
    WorkerExists,
    WorkerNotFound,
    WorkersUnhealthy,
)
from foreman.testing.fake_foreman import FakeForeman


async def test_every_question_has_the_same_answer_here_and_there(fake: FakeForeman, remote: RemoteForeman) -> None:
    await remote.new_workers([("log_1", "log"), ("log_2", "log", {"a": [1, None, "ü"]}), ("storage_1", "storage")])
    both: list[ForemanInterface] = [fake, remote]
    questions: tuple[Callable[[ForemanInterface], Awaitable[Any]], ...] = (
        lambda foreman: foreman.all(),
        lambda foreman: foreman.log_workers(),
        lambda foreman: foreman.storage_workers(),
        lambda foreman: foreman.workers(kind="nothing & more"),
        lambda foreman: foreman.infos(),
        lambda foreman: foreman.infos(kind="log"),
        lambda foreman: foreman.info("log_2"),
        lambda foreman: foreman.health(),
        lambda foreman: foreman.get_all_running_services(),
        lambda foreman: foreman.why("log_1"),
        lambda foreman: foreman.node(),
    )
    for question in questions:
        here, there = [await question(foreman) for foreman in both]
        assert here == there
        assert type(here) is type(there)


async def test_what_is_done_there_is_done(fake: FakeForeman, remote: RemoteForeman) -> None:
    ref = await remote.new_worker("log_1", "log", {"size": 1})
    assert ref == await fake.new_worker("log_1", "log", {"size": 1})
    await remote.report_health("log_1", Health.error("disk on fire"))
    assert (await fake.info("log_1")).health == Health.error("disk on fire") == (await remote.info("log_1")).health
    assert (await remote.health()).status == "error"
    await remote.stop_worker("log_1")
    assert (await fake.info("log_1")).state == "stopped"
    await remote.start_worker("log_1")
    await remote.restart_worker("log_1")
    assert (await fake.info("log_1")).restarts == 1
    await remote.wait_for_healthy()
    assert await remote.remove_workers(["log_1", "gone"]) == {"log_1": None, "gone": WorkerNotFound("gone")}
    await remote.shutdown()
    assert fake.down.is_set()


async def test_errors_are_the_same(remote: RemoteForeman) -> None:
    with pytest.raises(UnknownKind) as unknown:
        await remote.new_worker("a", "nonsense")
    assert "log" in unknown.value.known
    with pytest.raises(FailedToStart, match="exit 1"):
        await remote.new_worker("bad", "broken")
    with pytest.raises(WorkersUnhealthy) as unhealthy:
        await remote.wait_for_healthy()
    assert unhealthy.value.workers == {"bad": "failed_to_start(exit 1)"}
    await remote.remove_worker("bad")
    with pytest.raises(ForemanTimeout) as late:
        await remote.new_worker("slow_1", "slow", timeout=0.1)
    assert isinstance(late.value, TimeoutError)
    await remote.new_worker("log_1", "log")
    with pytest.raises(WorkerExists):
        await remote.new_worker("log_1", "storage")


@pytest.mark.parametrize("id", ["", "..", "../evil", "a/b", "A", "a" * 64, "a\0", "a?timeout=1", "ä", 7])
async def test_a_wrong_id_goes_nowhere(remote: RemoteForeman, id: str) -> None:
    for call in (remote.info, remote.remove_worker, remote.stop_worker, remote.why):
        with pytest.raises(InvalidWorkerId):
            await call(id)
    with pytest.raises(InvalidWorkerId):
        await remote.new_worker(id, "log")
    with pytest.raises(InvalidWorkerId):
        await remote.remove_workers(["fine", id])


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "3", None, True])
async def test_a_wrong_timeout_is_an_invalid_request(remote: RemoteForeman, timeout: float) -> None:
    with pytest.raises(InvalidRequest):
        await remote.new_worker("log_1", "log", timeout=timeout)


async def test_a_year_of_timeout_is_a_day(remote: RemoteForeman) -> None:
    await remote.new_worker("log_1", "log", timeout=3e7)


@pytest.mark.parametrize("params", [{"a": object()}, {1: 2}, ["a"], {"a": "\ud800"}])
async def test_params_that_json_cannot_say_are_refused(remote: RemoteForeman, params: dict[str, object]) -> None:
    with pytest.raises(InvalidParams):
        await remote.new_worker("log_1", "log", params)


async def test_a_body_that_is_too_large_is_an_invalid_request(remote: RemoteForeman) -> None:
    with pytest.raises(InvalidRequest, match="larger than"):
        await remote.new_worker("log_1", "log", {"a": "x" * (1 << 20)})


async def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ForemanUnavailable) as error:
        async with RemoteForeman.connect(tmp_path):
            pass
    assert isinstance(error.value, ConnectionError)
    assert "foreman up" in str(error.value)


async def test_a_node_that_never_answers_is_a_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foreman.api.client.ANSWER_WITHIN_S", 0.05)
    silent = bind_unix(tmp_path / "s")
    foreman = RemoteForeman.connect(f"unix:{tmp_path}/s")
    with pytest.raises(ForemanTimeout):
        await foreman.node()
    silent.close()
    await foreman.close()


async def test_what_is_no_foreman_is_a_clear_error(tmp_path: Path) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(nonsense, tmp_path / "s"):
        foreman = RemoteForeman.connect(f"unix:{tmp_path}/s")
        with pytest.raises(ForemanUnavailable):
            await foreman.node()
        await foreman.close()


async def test_many_calls_at_once_share_connections(fake: FakeForeman, remote: RemoteForeman) -> None:
    await asyncio.gather(*(remote.new_worker(f"log_{i}", "log") for i in range(200)))
    assert len(await remote.all()) == 200
    answers = await asyncio.gather(*(remote.info(f"log_{i}") for i in range(200)))
    assert [info.id for info in answers] == [f"log_{i}" for i in range(200)]


async def test_a_cancelled_call_does_not_spoil_the_next(remote: RemoteForeman) -> None:
    for _ in range(20):
        task = asyncio.create_task(remote.infos())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await remote.infos() == []


async def test_output_comes_as_it_was_written(fake: FakeForeman, remote: RemoteForeman) -> None:
    await fake.new_worker("log_1", "log")
    fake.outputs["log_1"] = [bytes(range(256)), b"x" * 3_000_000]
    assert b"".join([chunk async for chunk in remote.output("log_1")]) == bytes(range(256)) + b"x" * 3_000_000
    with pytest.raises(WorkerNotFound):
        await anext(remote.output("gone"))


async def test_events_begin_where_they_were_asked_for(fake: FakeForeman, remote: RemoteForeman) -> None:
    events = remote.events()
    await remote.new_worker("slow_1", "log")
    first = await anext(events)
    assert isinstance(first, WorkerChanged)
    assert (first.id, first.sequence) == ("slow_1", 1)
    await remote.report_health("slow_1", Health.error("x"))
    assert [type(await anext(events)) for _ in range(2)] == [WorkerChanged, HealthChanged]
    await events.aclose()  # type: ignore[attr-defined]
    again = remote.events(after=1)
    assert (await anext(again)).sequence == 2
    await again.aclose()  # type: ignore[attr-defined]


async def test_events_go_on_over_a_restart_of_the_node(tmp_path: Path) -> None:
    first, second = FakeForeman(), FakeForeman()
    path = tmp_path / "s"
    foreman = RemoteForeman.connect(f"unix:{path}")
    async with serving(create_app(first), [Listener(bind_unix(path))]):
        events = foreman.events()
        await foreman.new_worker("log_1", "log")
        await foreman.new_worker("log_2", "log")
        assert [(await anext(events)).sequence for _ in range(2)] == [1, 2]
    following = asyncio.ensure_future(anext(events))
    await second.new_worker("log_3", "log")
    async with serving(create_app(second), [Listener(bind_unix(path))]):
        event = await asyncio.wait_for(following, 5)
        assert isinstance(event, WorkerChanged)
        assert (event.sequence, event.id) == (1, "log_3"), "another life of the node: everything it keeps is news"
        await events.aclose()  # type: ignore[attr-defined]
        await foreman.close()


async def test_events_end_when_the_node_stays_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AWAY_S", 0.1)
    foreman = RemoteForeman.connect(f"unix:{tmp_path}/s")
    async with serving(create_app(FakeForeman()), [Listener(bind_unix(tmp_path / "s"))]):
        events = foreman.events()
        await foreman.new_worker("log_1", "log")
        await anext(events)
    with pytest.raises(ForemanUnavailable):
        await asyncio.wait_for(anext(events), 5)
    await foreman.close()


async def test_a_closed_client_says_so(remote: RemoteForeman) -> None:
    await remote.close()
    with pytest.raises(ForemanError, match="closed"):
        await remote.node()
