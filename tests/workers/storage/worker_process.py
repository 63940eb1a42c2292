"""A real storage worker as a process, as the supervisor would start it, and its notify socket."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRAM = "from foreman.workers.{kind}.main import main; main()"


class WorkerProcess:
    """``home`` needs a short path: the socket lies in it. ``under``: a command that runs the worker, such as strace. The id begins
    with the kind: storage_1, log_2."""

    def __init__(
        self, home: Path, params: Mapping[str, Any], *, id: str = "storage_1", data: Path | None = None, under: Sequence[str] = ()
    ) -> None:
        self.id, self.kind, self.params, self.under = id, id.partition("_")[0], dict(params), tuple(under)
        self.run = home / "run" / id
        self.data = data if data is not None else home / "workers" / id / "data"
        self.run.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        self.said: dict[str, str] = {}
        self.endpoint = f"unix:{self.run}/resp.sock"
        self._path = home / f"notify-{id}.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self._notify: socket.socket | None = None

    def start(self, timeout_s: float = 15.0) -> "WorkerProcess":
        self.begin()
        self.wait_until_said("READY", "1", timeout_s)
        return self

    def begin(self) -> "WorkerProcess":
        """Start it, and do not wait until it is ready."""
        self.said = {}
        self._path.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._path))
        environment = {
            "FOREMAN_WORKER_ID": self.id,
            "FOREMAN_KIND": self.kind,
            "FOREMAN_RUN": str(self.run),
            "FOREMAN_ADDRESS": f"unix:{self.run.parent}/foreman.sock",
            "FOREMAN_PARAMS": json.dumps(self.params),
            "NOTIFY_SOCKET": str(self._path),
            "WATCHDOG_USEC": "10000000",
            "PATH": os.environ["PATH"],
        }
        self.process = subprocess.Popen(
            [*self.under, sys.executable, "-c", PROGRAM.format(kind=self.kind)], cwd=self.data, env=environment, start_new_session=True
        )
        return self

    def wait_until_said(self, name: str, starts: str, timeout_s: float = 15.0, holds: Callable[[str], bool] = lambda _: True) -> str:
        """Until the worker has said ``name`` = ``starts``…, and it ``holds``."""
        deadline = time.monotonic() + timeout_s
        assert self._notify is not None
        assert self.process is not None
        while name not in self.said or not self.said[name].startswith(starts) or not holds(self.said[name]):
            left = deadline - time.monotonic()
            assert left > 0, f"{self.id} did not say {name}={starts} but {self.said}"
            if select.select([self._notify], [], [], min(left, 0.2))[0]:
                for line in self._notify.recv(65536).decode().splitlines():
                    key, _, value = line.partition("=")
                    self.said[key] = value
            elif self.process.poll() is not None:
                raise AssertionError(f"{self.id} ended with {self.process.returncode}, having said {self.said}")
        return self.said[name]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)  # its own session: strace and what it runs
        code = self.process.wait(20)
        if self._notify is not None:
            self._notify.close()
        return code
