"""What workers say of themselves: believed only from them, bounded, and nobody's burden."""

import asyncio
import os
import signal
import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.supervisor.news import NewsBuffer
from foreman.supervisor.protocol import Exited, News, Notified, WatchdogOverdue
from tests.deadline import wait_until_async
from tests.supervisor.conftest import Bench


async def test_only_what_changed_is_told(bench: Bench) -> None:
    request = await bench.start("b", "says_twice")
    await bench.ready("b")
    await bench.client.signal("b", request.incarnation, signal.SIGUSR1)
    last = await bench.until(Notified, "b", lambda news: news.status == "two")
    assert (last.ready, last.health, last.endpoint) == (False, None, None)
    assert len([news for news in bench.heard if isinstance(news, Notified) and news.ready]) == 1


async def test_others_are_not_believed(bench: Bench) -> None:
    await bench.start("a", ("sleep", "600"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(f"{bench.run}/notify.sock")
        stranger.send(b"READY=1")
    await bench.start("b", "ready")  # comes after it in the same queue
    await bench.ready("b")
    assert not next(worker for worker in await bench.client.list() if worker.id == "a").ready


async def test_a_descendant_may_speak_for_its_worker(bench: Bench) -> None:
    speak = "import os,socket; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); "
    program = f"import os; os.setsid(); {speak} import time; time.sleep(600)"
    await bench.start("a", ("sh", "-c", 'python3 -c "$0" & wait', program))
    await bench.ready("a")


async def test_sd_notify_barrier_is_released(bench: Bench) -> None:
    await bench.start("a", "barrier")
    await bench.ready("a")
    assert (await bench.until(Notified, "a", lambda news: news.status is not None)).status == "before"


async def test_rubbish_is_ignored_and_texts_are_bounded(bench: Bench) -> None:
    await bench.start("a", "sends_rubbish")
    await bench.until(Notified, "a", lambda news: news.ready)
    said = [news for news in bench.heard if isinstance(news, Notified)]
    assert all(len(news.status or "") <= 1024 for news in said)
    assert any(news.errno == 5 for news in said)
    assert not any(news.stopping for news in said)


async def test_a_flood_delays_nobody(bench: Bench) -> None:
    for number in range(3):
        await bench.start(f"flood{number}", "floods_notify")
        await bench.ready(f"flood{number}")
    for number in range(10):
        request = await bench.start(f"w{number}", "ready")
        await bench.ready(request.id)
        await bench.client.kill(request.id, request.incarnation)
        await bench.ended(request.id)
    flooding = [worker for worker in await bench.client.list() if worker.id.startswith("flood")]
    assert all(worker.status and worker.status.startswith("number") for worker in flooding)
    sent = sum(int((worker.status or "0").rpartition(" ")[2]) for worker in flooding)
    assert len(bench.heard) < sent / 2, "a flood is joined, not passed on"


async def test_silence_is_told_once_and_again_after_a_word(bench: Bench) -> None:
    request = await bench.start("a", "watched_then_silent", watchdog_s=0.05)
    await bench.until(WatchdogOverdue, "a")
    await bench.client.signal("a", request.incarnation, signal.SIGUSR1)  # its handler says WATCHDOG=1
    async with asyncio.timeout(10):
        while len([news for news in bench.heard if isinstance(news, WatchdogOverdue)]) < 2:
            await bench.client.list()
    assert len(await bench.client.list()) == 1


async def test_regular_words_and_extensions_keep_the_watchdog_quiet(bench: Bench) -> None:
    await bench.start("talks", "watched", watchdog_s=1.0)
    await bench.start("extends", "extends", watchdog_s=0.2)
    await bench.start("never_ready", ("sleep", "600"), watchdog_s=0.2)
    await bench.start("silent", "watched_then_silent", watchdog_s=1.5)
    assert (await bench.until(Notified, "extends", lambda news: news.extend_timeout_s is not None)).extend_timeout_s == 60
    await bench.until(WatchdogOverdue, "silent")
    assert {news.id for news in bench.heard if isinstance(news, WatchdogOverdue)} == {"silent"}


async def test_a_worker_may_say_itself_that_it_hangs(bench: Bench) -> None:
    await bench.start("a", "says_it_hangs", watchdog_s=3600)
    await bench.until(WatchdogOverdue, "a")


async def test_a_hung_worker_is_overdue(bench: Bench) -> None:
    request = await bench.start("a", "watched", watchdog_s=0.3)
    await bench.ready("a")
    await bench.client.signal("a", request.incarnation, signal.SIGSTOP)
    await bench.until(WatchdogOverdue, "a")


@given(datagrams=st.lists(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), max_size=30))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_datagram_harms_it(bench: Bench, datagrams: list[bytes]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(f"{bench.run}/notify.sock")
        for datagram in datagrams:
            stranger.send(datagram)
    await bench.client.list()
    assert not bench.client.lost.done()


async def test_descriptors_sent_along_do_not_stay(bench: Bench) -> None:
    folder = f"/proc/{bench.client.welcome.pid}/fd"
    before = len(os.listdir(folder))
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.connect(f"{bench.run}/notify.sock")
        for _ in range(20):
            socket.send_fds(stranger, [b"FDSTORE=1"], [writing] * 100)
    os.close(writing)
    assert os.read(reading, 1) == b""  # every copy is closed
    os.close(reading)
    await wait_until_async(lambda: len(os.listdir(folder)) == before)


def test_news_are_kept_until_acknowledged_and_told_again_with_their_numbers() -> None:
    buffer = NewsBuffer()
    for number in range(5):
        buffer.add(Exited(f"w{number}", f"i{number}", 1, 0, None))
    taken = buffer.take()
    assert [seq for seq, _ in taken] == [1, 2, 3, 4, 5]
    buffer.acknowledge(2)
    assert buffer.unacknowledged() == taken[2:]
    assert buffer.has_ended("i3")
    assert not buffer.has_ended("i1")


_said = st.builds(
    Notified,
    id=st.just("w"),
    incarnation=st.sampled_from("abc"),
    ready=st.booleans(),
    status=st.none() | st.text(max_size=2),
    health=st.none() | st.just("ok"),
)
_exits = st.builds(Exited, st.just("w"), st.sampled_from("abc"), st.just(1), st.just(0), st.none())


@given(steps=st.lists(_said | _exits | st.integers(0, 30) | st.just("take"), max_size=60))
def test_no_exit_is_lost_and_the_newest_word_wins(steps: list[News | int | str]) -> None:
    buffer = NewsBuffer()
    got: list[News] = []
    ended, latest = set[str](), dict[str, str]()
    for step in steps:
        match step:
            case int():
                buffer.acknowledge(step)
            case str():
                got += [news for _, news in buffer.take()]
            case _:
                buffer.add(step)
                if isinstance(step, Exited):
                    ended.add(step.incarnation)
                if isinstance(step, Notified) and step.status is not None:
                    latest[step.incarnation] = step.status
    while not buffer.empty:
        taken = buffer.take()
        got += [news for _, news in taken]
        buffer.acknowledge(max(seq for seq, _ in buffer.unacknowledged()))
    assert {news.incarnation for news in got if isinstance(news, Exited)} == ended
    for incarnation, status in latest.items():
        told = [news.status for news in got if isinstance(news, Notified) and news.incarnation == incarnation and news.status is not None]
        assert told[-1] == status
