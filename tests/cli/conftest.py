"""The real command line as a process, beside a node that is a fake Foreman behind the real HTTP application."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from foreman.api.app import create_app
from foreman.api.listeners import Listener, bind_unix
from foreman.api.serving import serving
from foreman.testing.fake_foreman import FakeForeman

WITHIN_S = 30.0


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def failed_with(self, code: int) -> str:
        """The one line on stderr that says why; nothing else, and no traceback."""
        assert self.code == code, self
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("foreman: ")
        return lines[0]


Run = Callable[..., Awaitable[Ended]]


def environment(**more: str) -> dict[str, str]:
    """Without what the surroundings say of a node."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FOREMAN_")}
    return plain | {"COLUMNS": "200", "TERM": "dumb"} | more


@pytest.fixture
def run(tmp_path: Path) -> Run:
    async def command(*arguments: str, **variables: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "foreman.cli.main", *arguments, env=environment(**variables), cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    return command


@pytest.fixture
async def fake() -> FakeForeman:
    return FakeForeman()


@pytest.fixture
async def data(fake: FakeForeman, tmp_path: Path) -> AsyncIterator[Path]:
    """The data directory of a running node."""
    data = tmp_path / "foreman-data"
    (data / "run").mkdir(parents=True)
    async with serving(create_app(fake), [Listener(bind_unix(data / "run" / "foreman.sock"))]):
        yield data
