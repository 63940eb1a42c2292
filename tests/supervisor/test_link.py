"""The link between server and supervisor: adoption, replacement, orphans, and whatever comes over the socket."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.node.supervisor_client import SupervisorClient, SupervisorUnavailable
from foreman.node.supervisor_launch import Launch, SupervisorBusy, attach_or_launch, launch_supervisor
from foreman.supervisor.protocol import MAX_REQUEST_BYTES, Exited, Notified, Refused, Started
from foreman.supervisor.start_request import StopOrder
from tests.deadline import wait_until_async
from tests.supervisor.conftest import DEADLINE_S, Bench


async def test_a_new_server_adopts_every_worker_and_hears_what_it_missed(bench: Bench) -> None:
    for id in ("stays", "goes", "speaks"):
        await bench.start(id, "ready")
        await bench.ready(id)
    before = {worker.id: worker for worker in await bench.client.list()}
    await bench.detach()
    os.kill(before["goes"].pid, signal.SIGKILL)
    await wait_until_async(lambda: not Path(f"/proc/{before['goes'].pid}").exists())
    told = len(bench.heard)
    client = await bench.attach()
    assert client.welcome.start_id
    assert (await bench.ended("goes")).signal == signal.SIGKILL
    after = {worker.id: worker for worker in await client.list()}
    assert after == {id: worker for id, worker in before.items() if id != "goes"}
    assert [news.id for news in bench.heard[told:] if isinstance(news, Exited)] == ["goes"]


async def test_news_not_taken_by_one_server_is_told_to_the_next(bench: Bench) -> None:
    await bench.detach()
    deaf = await SupervisorClient.connect(bench.run)  # never asks for news
    await deaf.start(bench.request("a", ("true",)))
    await bench.attach()
    assert isinstance(bench.heard[0] if bench.heard else await bench.until(Started, "a"), Started)
    await bench.ended("a")
    assert not (await deaf.lost).exited
    await deaf.close()


async def test_news_taken_is_not_told_again(bench: Bench) -> None:
    await bench.start("a", ("true",))
    await bench.ended("a")
    await bench.client.list()  # a round: the acknowledgement has arrived
    await bench.detach()
    told = len(bench.heard)
    await bench.attach()
    await bench.start("b", ("true",))
    await bench.ended("b")
    assert {news.id for news in bench.heard[told:]} == {"b"}


async def test_an_incarnation_that_has_ended_is_not_started_again_before_that_is_known(bench: Bench) -> None:
    await bench.detach()
    deaf = await SupervisorClient.connect(bench.run)
    request = bench.request("a", ("true",))
    await deaf.start(request)
    await bench.until_listed(deaf, lambda listed: not listed)
    with pytest.raises(Refused) as refused:
        await deaf.start(request)
    assert refused.value.refusal.code == "already_ended"
    await deaf.close()
    await bench.attach()


async def test_the_newest_server_takes_over(bench: Bench) -> None:
    newer = await SupervisorClient.connect(bench.run)
    lost = await bench.client.lost
    assert "taken over" in lost.reason
    assert not lost.exited
    with pytest.raises(SupervisorUnavailable):
        await bench.client.list()
    assert await newer.list() == []
    await newer.close()
    await bench.detach()
    await bench.attach()


async def test_a_second_supervisor_for_the_same_directory_is_refused(bench: Bench) -> None:
    with pytest.raises(SupervisorBusy):
        await launch_supervisor(Launch(bench.run))
    assert await bench.client.list() == []


async def test_a_second_supervisor_cannot_start_a_worker_that_runs(bench: Bench, root: Path) -> None:
    request = await bench.start("a", "ready")
    (root / "run2").mkdir(mode=0o700)
    other = await attach_or_launch(Launch(root / "run2", root / "log2", orphan_grace_s=0.0))
    with pytest.raises(Refused) as refused:
        await other.start(request)
    assert refused.value.refusal.code == "busy"
    await other.shutdown()
    await other.lost
    await other.close()


async def test_no_supervisor_is_a_clear_answer(root: Path) -> None:
    with pytest.raises(SupervisorUnavailable, match="no supervisor listens"):
        await SupervisorClient.connect(root)
    with pytest.raises(SupervisorUnavailable, match="No such file"):
        await launch_supervisor(Launch(root / "nowhere"))


async def test_orphans_are_stopped_after_their_grace(bench: Bench) -> None:
    await bench.start("a", "ignores_term", stop=StopOrder(grace_s=0.1))
    await bench.ready("a")
    await bench.client.configure(orphan_grace_s=0.1)
    pid = bench.client.welcome.pid
    await bench.detach()
    await wait_until_async(lambda: not Path(f"/proc/{pid}/fd").exists() or not os.listdir(f"/proc/{pid}/fd"), timeout_s=DEADLINE_S)


async def test_a_server_that_comes_back_in_time_finds_all_running(bench: Bench) -> None:
    await bench.start("a", "ready")
    await bench.client.configure(orphan_grace_s=60)
    await bench.detach()
    await bench.attach()
    assert [worker.id for worker in await bench.client.list()] == ["a"]


async def test_a_supervisor_nobody_comes_for_ends(root: Path) -> None:
    (root / "run").mkdir()
    pid = await launch_supervisor(Launch(root / "run", start_grace_s=0.05))
    assert (await asyncio.to_thread(os.waitpid, pid, 0))[1] == 0
    assert os.listdir(root / "run") == ["supervisor.lock"]


@pytest.mark.parametrize("how", ["shutdown", "term"])
async def test_all_are_stopped_in_their_order(bench: Bench, how: str) -> None:
    script = 'trap "echo $0 >> ../../order; exit" TERM; echo r | cat > ready; while :; do sleep 600 & wait; done'
    for id, rank in (("first", 0), ("second", 1), ("also_second", 1), ("last", 7)):
        await bench.start(id, ("sh", "-c", script, id), stop=StopOrder(rank=rank))
        await wait_until_async((bench.directory(id) / "data" / "ready").exists)
    if how == "shutdown":
        await bench.client.shutdown()
    else:
        os.kill(bench.client.welcome.pid, signal.SIGTERM)
    assert (await bench.client.lost).exited
    order = (bench.root / "workers" / "order").read_text().split()
    assert (order[0], set(order[1:3]), order[3]) == ("first", {"second", "also_second"}, "last")
    assert len([news for news in bench.heard if isinstance(news, Exited)]) == 4


async def test_nothing_starts_while_it_stops(bench: Bench) -> None:
    request = await bench.start("a", "ignores_term", stop=StopOrder(grace_s=60))
    await bench.ready("a")
    await bench.client.shutdown()
    with pytest.raises(Refused) as refused:
        await bench.start("b", "ready")
    assert refused.value.refusal.code == "stopping"
    await bench.client.kill("a", request.incarnation)
    assert (await bench.client.lost).exited


@pytest.mark.parametrize(
    ("module", "said"), [("no_such_module", "No module named 'no_such_module'"), ("tests.supervisor.starts_a_thread", "started a thread")]
)
async def test_a_preload_that_fails_says_so_and_harms_nobody(root: Path, module: str, said: str) -> None:
    bench = Bench(root)
    await bench.attach(preload=("json", module))
    try:
        await bench.start("a", "ready")
        await bench.ready("a")
        assert said in (root / "supervisor.log").read_text()
    finally:
        await bench.client.shutdown(now=True)
        await bench.client.lost
        await bench.detach()


def raw(bench: Bench) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(10)
    peer.connect(f"{bench.run}/supervisor.sock")
    return peer


def frame(message: object) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def answers(peer: socket.socket) -> list[dict[str, Any]]:
    """Everything up to the close."""
    data = b""
    try:
        while piece := peer.recv(65_536):
            data += piece
    except ConnectionResetError:
        pass
    found = []
    while data:
        size = struct.unpack(">I", data[:4])[0]
        found.append(json.loads(data[4 : 4 + size]))
        data = data[4 + size :]
    return found


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (struct.pack(">I", MAX_REQUEST_BYTES + 1), "invalid"),
        (struct.pack(">I", 3) + b"abc", "invalid"),
        (frame([1]), "invalid"),
        (frame({"n": 1, "do": "list", "with": {}}), "invalid"),
        (frame({"n": 1, "do": "hello", "with": {"version": 99}}), "version"),
        (struct.pack(">I", 200_000) + b"[" * 200_000, "invalid"),
    ],
)
async def test_what_is_not_understood_is_answered_and_closed(bench: Bench, sent: bytes, code: str) -> None:
    with raw(bench) as peer:
        peer.sendall(sent)
        assert answers(peer)[-1]["error"]["code"] == code
    assert await bench.client.list() == []


_field = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=3)
_names = st.sampled_from(["hello", "preload", "start", "signal", "kill", "list", "ack", "shutdown?", "configure"])
_messages = st.fixed_dictionaries(
    {},
    optional={
        "n": _field,
        "do": _names | _field,
        "with": _field
        | st.dictionaries(st.sampled_from(["id", "incarnation", "program", "cwd", "env", "seq", "signum", "modules"]), _field, max_size=6),
    },
)


@given(pieces=st.lists(st.binary(max_size=50) | _messages.map(frame), max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_frame_harms_it(bench: Bench, pieces: list[bytes]) -> None:
    with raw(bench) as peer:
        try:
            for piece in pieces:
                peer.sendall(piece)
        except OSError:
            pass
    await bench.client.list()
    assert not bench.client.lost.done()


@given(message=_messages)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_wrong_request_after_hello_is_refused_and_the_link_stays(bench: Bench, message: dict[str, Any]) -> None:
    if bench.client.lost.done():
        await bench.detach()
        await bench.attach()
    assert bench.client._wire.transport is not None
    bench.client._wire.transport.write(frame({**message, "n": 10**9}))
    assert await bench.client.list() == []
    assert not bench.client.lost.done()


@pytest.mark.parametrize("field", ["lock", "cwd", "program", "env", "output"])
async def test_text_that_no_system_call_takes_is_refused(bench: Bench, field: str) -> None:
    """A lone surrogate is valid JSON; let in, it would raise where a path is opened, and end the supervisor."""
    odd = "/\ud800"
    values: dict[str, Any] = {"program": [odd], "env": {"A": odd}, "output": {"directory": odd}}
    plain = {"id": "a", "incarnation": "1", "program": ["true"], "cwd": "/", "env": {}, "lock": "/l", "output": {"directory": "/o"}}
    with raw(bench) as peer:
        peer.sendall(frame({"n": 1, "do": "hello", "with": {"version": 1}}))
        peer.sendall(frame({"n": 2, "do": "start", "with": {**plain, field: values.get(field, odd)}}))
        peer.shutdown(socket.SHUT_WR)
        assert answers(peer)[-1]["error"]["code"] == "invalid"
    await bench.detach()
    await bench.attach()
    assert await bench.client.list() == []


async def test_many_idle_connections_push_out_only_one_another(bench: Bench) -> None:
    peers = [raw(bench) for _ in range(40)]
    assert await bench.client.list() == []
    for peer in peers:
        peer.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
async def test_another_user_does_not_get_in(bench: Bench) -> None:
    bench.root.chmod(0o755)
    bench.run.chmod(0o755)
    (bench.run / "supervisor.sock").chmod(0o666)
    hello = frame({"n": 1, "do": "hello", "with": {"version": 1}})
    program = f"import os,socket; os.setuid(65534); s=socket.socket(socket.AF_UNIX); s.connect({str(bench.run / 'supervisor.sock')!r}); "
    program += f"s.send({hello!r}); print(s.recv(100))"
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=False, text=True)
    assert "b''" in done.stdout or "Error" in done.stderr
    assert await bench.client.list() == []


async def test_a_supervisor_asleep_uses_no_processor_time(bench: Bench) -> None:
    for number in range(10):
        await bench.start(f"w{number}", "ready", watchdog_s=3600)
        await bench.ready(f"w{number}")
    await bench.client.list()

    def switches() -> str:
        status = Path(f"/proc/{bench.client.welcome.pid}/status").read_text()
        return "".join(line for line in status.splitlines() if "ctxt_switches" in line)

    async with asyncio.timeout(DEADLINE_S):
        before = ""
        while before != (before := switches()):
            await asyncio.sleep(0.3)  # not to wait for something: to see that in this time nothing happens


async def test_a_hundred_starts_and_kills_leave_no_descriptor(bench: Bench) -> None:
    folder = f"/proc/{bench.client.welcome.pid}/fd"
    await bench.start("warm", "ready")
    await bench.ready("warm")
    before = len(os.listdir(folder))
    for number in range(100):
        request = await bench.start(f"w{number}", "ready" if number % 2 else ("sleep", "600"))
        await bench.client.kill(request.id, request.incarnation)
        await bench.ended(request.id)
    assert len(os.listdir(folder)) == before
    assert not [news for news in bench.heard if isinstance(news, Notified) and news.id == "nobody"]
