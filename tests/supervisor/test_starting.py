"""A worker's start: what it is given, what it is told, what goes wrong."""

import asyncio
import errno
import fcntl
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from foreman.supervisor.protocol import Refused, Started
from foreman.supervisor.start_request import Limits
from tests.deadline import wait_until_async
from tests.supervisor.conftest import Bench


async def facts_of(bench: Bench, id: str, **changes: Any) -> dict[str, Any]:
    await bench.start(id, "tells_facts", **changes)
    await bench.ready(id)
    facts: dict[str, Any] = json.loads((bench.directory(id) / "data" / "facts.json").read_text())
    return facts


async def test_a_python_worker_starts_and_says_it_is_ready(bench: Bench) -> None:
    request = await bench.start("a", "ready")
    said = await bench.ready("a")
    assert (said.status, said.endpoint, said.health) == ("at work", "unix:/nowhere", "ok")
    assert isinstance(bench.heard[0], Started)
    (worker,) = await bench.client.list()
    assert (worker.id, worker.incarnation, worker.ready, worker.status) == ("a", request.incarnation, True, "at work")


async def test_a_python_worker_has_its_environment_and_no_other(bench: Bench) -> None:
    facts = await facts_of(bench, "a", env={"FOREMAN_PARAMS": '{"ü": 1}', "ODD": "a=b\nc"})
    wanted = bench.request("a", "tells_facts", incarnation=facts["env"]["FOREMAN_INCARNATION"]).env
    assert facts["env"] == {**wanted, "FOREMAN_PARAMS": '{"ü": 1}', "ODD": "a=b\nc"}
    assert facts["environ"] == sorted(f"{name}={value}" for name, value in facts["env"].items())


async def test_a_python_worker_has_three_descriptors_and_its_lock(bench: Bench) -> None:
    fds = (await facts_of(bench, "a"))["fds"]
    assert sorted(fds) == ["0", "1", "2", "3"]
    assert fds["0"] == "/dev/null"
    assert fds["1"].startswith("pipe:")
    assert fds["1"] == fds["2"]
    assert fds["3"] == str(bench.directory("a") / "lock")


async def test_a_python_worker_looks_like_a_program_of_its_own(bench: Bench) -> None:
    facts = await facts_of(bench, "some_name", umask=0o027)
    assert facts["cwd"] == str(bench.directory("some_name") / "data")
    assert facts["umask"] == 0o027
    assert facts["blocked"] == []
    assert set(facts["dispositions"]) == {"SIGINT", "SIGPIPE", "SIGXFSZ"}  # as Python itself begins
    assert facts["session"] == facts["group"] == facts["pid"]
    assert facts["parent_death"] == signal.SIGKILL
    assert facts["comm"] == "fm-some_name"
    assert facts["cmdline"] == "foreman worker some_name"
    assert facts["argv"] == ["tests.supervisor.workers:tells_facts"]


async def test_forked_workers_do_not_share_their_randomness(bench: Bench) -> None:
    one, two = await facts_of(bench, "a"), await facts_of(bench, "b")
    assert one["random"] != two["random"]


async def test_limits_hold_and_the_supervisors_own_are_not_inherited(bench: Bench) -> None:
    limits = Limits(nofile=333, memory_bytes=1 << 30, nproc=20_000, core_bytes=0)
    assert (await facts_of(bench, "a", limits=limits))["limits"] == {
        "RLIMIT_NOFILE": [333, 333],
        "RLIMIT_DATA": [1 << 30, 1 << 30],
        "RLIMIT_CORE": [0, 0],
        "RLIMIT_NPROC": [20_000, 20_000],
    }
    assert (await facts_of(bench, "b"))["limits"]["RLIMIT_NOFILE"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))
    supervisor = resource.prlimit(bench.client.welcome.pid, resource.RLIMIT_NOFILE)
    assert supervisor[0] == supervisor[1]


async def test_a_program_has_its_environment_descriptors_and_signals(bench: Bench) -> None:
    script = "env -0 | sort -z > env; ls -l /proc/self/fd > fds; grep Sig /proc/self/status > signals; exec sleep 600"
    request = await bench.start("a", ("sh", "-c", script))
    data = bench.directory("a") / "data"
    (worker,) = await bench.client.list()
    await wait_until_async(lambda: Path(f"/proc/{worker.pid}/comm").read_text() == "sleep\n")
    env = dict(entry.split("=", 1) for entry in (data / "env").read_text().strip("\0").split("\0"))
    assert {name: env[name] for name in request.env} == dict(request.env)
    assert set(env) - set(request.env) <= {"PWD", "_", "OLDPWD", "SHLVL"}  # the shell's own
    listed = [line.split() for line in (data / "fds").read_text().splitlines() if "->" in line]
    assert {words[-3] for words in listed if "/proc/" not in words[-1]} == {"0", "1", "2", "3"}
    signals = dict(line.split(":\t") for line in (data / "signals").read_text().splitlines())
    threads_own = 0b11 << 31  # 32 and 33 belong to the C library, whose posix_spawn(3) leaves them so and which lets nobody change them
    assert int(signals["SigBlk"], 16) == int(signals["SigIgn"], 16) & ~threads_own == 0


@pytest.mark.parametrize(
    ("program", "number"),
    [(("no-such-program",), errno.ENOENT), (("/etc/passwd", "x"), errno.EACCES), (("/nowhere/at/all",), errno.ENOENT)],
)
async def test_a_program_that_cannot_run_is_refused_with_errno_and_path(bench: Bench, program: tuple[str, ...], number: int) -> None:
    with pytest.raises(Refused) as refused:
        await bench.start("a", program)
    assert (refused.value.refusal.code, refused.value.refusal.errno, refused.value.refusal.path) == ("failed", number, program[0])
    news = await bench.failed("a")
    assert (news.errno, news.path) == (number, program[0])
    assert await bench.client.list() == []
    await bench.start("a", "ready")  # the lock is free again


async def test_a_directory_that_is_not_there_is_named(bench: Bench) -> None:
    request = bench.request("a", "ready")
    (bench.directory("a") / "data").rmdir()
    with pytest.raises(Refused) as refused:
        await bench.client.start(request)
    assert (refused.value.refusal.errno, refused.value.refusal.path) == (errno.ENOENT, request.cwd)


@pytest.mark.parametrize("program", ["no_such.module:main", "tests.supervisor.workers:no_such_function"])
async def test_a_function_that_cannot_be_found_is_refused(bench: Bench, program: str) -> None:
    with pytest.raises(Refused) as refused:
        await bench.start("a", program)
    assert "no" in refused.value.refusal.detail
    assert "Error" in refused.value.refusal.detail


async def test_an_unknown_user_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused, match="there is no user"):
        await bench.start("a", "ready", user="nobody-of-that-name")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start workers as another user")
async def test_a_worker_of_another_user_can_say_it_is_ready_and_dies_with_the_supervisor(bench: Bench) -> None:
    bench.root.chmod(0o755)
    request = bench.request("a", "tells_user", user="nobody")
    (bench.directory("a") / "data").chmod(0o777)
    await bench.client.start(request)
    await bench.ready("a")
    facts = json.loads((bench.directory("a") / "data" / "facts.json").read_text())
    assert facts["ids"] == [65_534] * 6
    assert facts["parent_death"] == signal.SIGKILL
    assert (bench.run / "supervisor.sock").stat().st_mode & 0o777 == 0o600


async def test_the_same_start_again_is_the_same_process(bench: Bench) -> None:
    request = await bench.start("a", "ready")
    first, again = await asyncio.gather(bench.client.start(request), bench.client.start(request))
    assert first.pid == again.pid == (await bench.client.list())[0].pid


async def test_another_incarnation_is_refused_while_one_lives(bench: Bench) -> None:
    await bench.start("a", "ready")
    with pytest.raises(Refused) as refused:
        await bench.start("a", "ready")
    assert refused.value.refusal.code == "already_running"


async def test_a_lock_held_by_somebody_else_is_busy(bench: Bench) -> None:
    request = bench.request("a", "ready")
    fd = os.open(request.lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(Refused) as refused:
        await bench.client.start(request)
    os.close(fd)
    assert (refused.value.refusal.code, refused.value.refusal.path) == ("busy", request.lock)


async def test_a_hundred_at_once_are_a_hundred(bench: Bench) -> None:
    requests = [bench.request(f"w{number}", "ready") for number in range(100)]
    started = await asyncio.gather(*(bench.client.start(request) for request in requests))
    assert len({one.pid for one in started}) == 100
    for request in requests:
        await bench.ready(request.id)
        first, *_ = (news for news in bench.heard if news.id == request.id)
        assert isinstance(first, Started), "that it runs is told before what it says"
