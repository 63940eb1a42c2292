"""Talks to a program in benchmarks/drivers: one JSON command a line, one JSON answer a line."""

import contextlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

DRIVERS: Final = Path(__file__).with_name("drivers")


class DriverFailed(Exception):
    """The peer said no; its words."""


class Driver:
    """A running driver program."""

    def __init__(self, argv: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment and dict(environment)
        )
        self.pid = self._process.pid

    def ask(self, command: str, **arguments: Any) -> Any:
        """Raises DriverFailed when the peer refuses or the driver is gone."""
        stdin, stdout = _both(self._process)
        try:
            stdin.write(json.dumps({"command": command, **arguments}).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise DriverFailed(f"{command}: the driver ended (see {self._log.name})")
        answer = json.loads(line)
        if "error" in answer:
            raise DriverFailed(f"{command}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        stdin, stdout = _both(self._process)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        stdout.close()
        self._log.close()


def _both(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
