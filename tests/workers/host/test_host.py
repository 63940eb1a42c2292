"""A worker process tells who started it how it is, and ends as it is asked to."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreman.workers.host import WorkerEnvironment, WorkerFailed


class Supervisor:
    """The other end of the notify socket."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, body: str, watchdog_s: float = 0.3) -> subprocess.Popen[bytes]:
        program = "import asyncio, time\nfrom foreman.workers.host import *\nfrom foreman.core.health import Health\n" + body
        environment = {
            "FOREMAN_WORKER_ID": "w",
            "FOREMAN_RUN": str(self.path.parent),
            "NOTIFY_SOCKET": str(self.path),
            "WATCHDOG_USEC": str(int(watchdog_s * 1e6)),
            "PATH": os.environ["PATH"],
        }
        self.process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE)
        return self.process

    def hear(self, wanted: str, timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0] and wanted in self.socket.recv(65536).decode().splitlines():
                return
        raise AssertionError(f"did not hear {wanted}")

    def drain(self) -> int:
        count = 0
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(65536)
            count += 1
        return count


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    one = Supervisor(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.wait()
        assert one.process.stderr is not None
        one.process.stderr.close()
    one.socket.close()


def test_says_ready_health_and_endpoint_and_ends_on_term(supervisor: Supervisor) -> None:
    process = supervisor.start(
        "async def serve(host):\n"
        "    host.notify.endpoint('unix:/x'); host.notify.health(Health.error('disk\\non fire')); host.notify.ready()\n"
        "    await host.stopping.wait()\n"
        "run_worker(serve)"
    )
    supervisor.hear("X_FOREMAN_ENDPOINT=unix:/x")
    supervisor.hear("X_FOREMAN_HEALTH=error:disk on fire")
    supervisor.hear("READY=1")
    supervisor.hear("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    supervisor.hear("STOPPING=1")
    assert process.wait(10) == 0


def test_a_stuck_loop_goes_silent(supervisor: Supervisor) -> None:
    supervisor.start(
        "async def serve(host):\n    await asyncio.sleep(0.3)\n    host.notify.status('stuck now')\n    time.sleep(60)\nrun_worker(serve)"
    )
    supervisor.hear("WATCHDOG=1")
    supervisor.hear("STATUS=stuck now")
    supervisor.drain()
    assert not select.select([supervisor.socket], [], [], 0.7)[0]


def test_a_reason_for_failure_is_its_last_word(supervisor: Supervisor) -> None:
    process = supervisor.start("async def serve(host): raise WorkerFailed('no such disk')\nrun_worker(serve)")
    supervisor.hear("X_FOREMAN_HEALTH=error:no such disk")
    assert process.wait(10) == 1
    assert process.stderr is not None
    assert b"no such disk" in process.stderr.read()


def test_the_newest_news_is_kept_while_the_supervisor_is_busy(supervisor: Supervisor) -> None:
    process = supervisor.start(
        "async def serve(host):\n"
        "    for number in range(5000): host.notify.status(str(number))\n"
        "    host.notify.ready()\n"
        "    await host.stopping.wait()\n"
        "run_worker(serve)"
    )
    supervisor.hear("STATUS=4999")
    process.send_signal(signal.SIGTERM)
    supervisor.hear("STOPPING=1")
    assert process.wait(10) == 0


def test_tells_what_is_missing_when_not_started_as_a_worker() -> None:
    with pytest.raises(WorkerFailed, match="FOREMAN_WORKER_ID"):
        WorkerEnvironment.from_environ({})
    with pytest.raises(WorkerFailed, match="FOREMAN_PARAMS"):
        WorkerEnvironment.from_environ({"FOREMAN_PARAMS": "{"})


def test_reads_what_it_was_given() -> None:
    given = {"FOREMAN_WORKER_ID": "a", "FOREMAN_RUN": "/r", "FOREMAN_PARAMS": '{"x": 1}', "WATCHDOG_USEC": "2500000"}
    environment = WorkerEnvironment.from_environ(given)
    assert (environment.id, environment.params, environment.watchdog_s, environment.notify_socket) == ("a", {"x": 1}, 2.5, None)
