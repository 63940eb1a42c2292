"""`foreman demo --cluster` as a user types it: all is well, one byte differs, somebody interrupts it; nothing is left behind."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from foreman.cli.demo.cluster import tell
from foreman.cli.demo.machines import has_etcd
from foreman.cli.demo.tree import Expected, find_files
from foreman.kernel.processes import all_pids
from tests.deadline import wait_until

pytestmark = pytest.mark.timeout(240)

COMMAND = (sys.executable, "-m", "foreman", "demo", "--cluster")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(40):
        folder = tmp_path / "files" / f"folder {number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(os.urandom(1 + number * 401))
    return tmp_path / "files"


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Where the demo makes its folder. Whatever still runs from there in the end is killed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    yield scratch
    for pid in running_from(scratch):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def running_from(folder: Path) -> list[int]:
    """Every process that names the folder, stands in it, or has a file of it open."""
    return [pid for pid in all_pids() if pid != os.getpid() and any(str(folder) in place for place in _places(pid))]


def _places(pid: int) -> list[str]:
    links = Path(f"/proc/{pid}/cwd"), *Path(f"/proc/{pid}/fd").glob("*")
    found = []
    with suppress(OSError):
        found.append(Path(f"/proc/{pid}/cmdline").read_text(errors="replace"))
    for link in links:
        with suppress(OSError):
            found.append(os.readlink(link))
    return found


def test_files_survive_all_that_befalls_three_machines(files: Path, scratch: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--input", str(files)],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    befell = ["SIGKILL a log worker", "the leader's machine, pulled out", "comes back, with its disk", "SIGKILL a storage worker"]
    for what in [*befell, "etcd stopped"] if has_etcd() else befell:
        assert what in done.stdout
    assert "each once, without a gap" in done.stdout
    assert done.stdout.count(" identical") == 2 * 4, "two teams of two, in the table and beside the digests"
    assert "was published" in done.stderr, "the directors' story, as it comes"
    assert not list(scratch.iterdir())
    wait_until(lambda: not running_from(scratch), timeout_s=20.0, what="no process is left")


def test_one_byte_that_is_not_what_it_was_is_noticed(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = Damaged()
    assert not asyncio.run(tell(files, find_files(files, 1_000_000), tmp_path / "cluster", expected=damaged, in_peace=True))
    assert damaged.key is not None
    assert "NOT IDENTICAL: 0 missing, 1 different, 0 that no file has" in capsys.readouterr().out


class Damaged(Expected):
    """Remembers the first value with one byte changed."""

    key: bytes | None = None

    def note(self, key: bytes, value: bytes) -> None:
        super().note(key, value)
        if self.key is None and value:
            self.key = key
            self.digests[key] = hashlib.sha256(bytes([value[0] ^ 1]) + value[1:]).digest()


def test_interrupted_it_leaves_nothing_behind(files: Path, scratch: Path) -> None:
    command = [*COMMAND, "--input", str(files)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        while "was published" not in demo.stderr.readline():
            assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        demo.stderr.read()
        assert demo.wait(60) == 130
    assert not list(scratch.iterdir())
    wait_until(lambda: not running_from(scratch), timeout_s=20.0, what="no process is left")
