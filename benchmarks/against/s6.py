"""s6: s6-svscan over a scan directory, told to look again after each change."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.against.service_directory import write_service
from benchmarks.facts import descendants
from benchmarks.peer import Peer, Setup


class S6(Peer):
    """s6-svscan over a scan directory, told to look again after each change."""

    name = "s6"
    title = "s6"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.services = setup.folder / "services"
        self.services.mkdir()
        self._scanned = setup.folder / "scan"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def version(cls, peers: Path) -> str | None:
        if shutil.which("s6-svscan") is None:
            return None
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "s6"], check=False, stdout=subprocess.PIPE, text=True)
        return asked.stdout or "of unknown version"

    def start_manager(self) -> None:
        self._scanned.mkdir(exist_ok=True)
        self._process = subprocess.Popen(["s6-svscan", "-c", "1000", self._scanned], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while not (self._scanned / ".s6-svscan/control").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def create(self, names: Sequence[str]) -> None:
        for name in names:
            write_service(self.services / name, self.setup.argv(name))
            (self._scanned / name).symlink_to(self.services / name)
        _run("s6-svscanctl", "-a", self._scanned)

    def list_running(self) -> int:
        told = [_run("s6-svstat", entry) for entry in sorted(self._scanned.iterdir()) if not entry.name.startswith(".")]
        return sum(1 for line in told if line.startswith("up"))

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            _run("s6-svc", "-d", self.services / name)
        _run("s6-svwait", "-D", "-a", *[self.services / name for name in names])
        for name in names:
            (self._scanned / name).unlink()
        _run("s6-svscanctl", "-an", self._scanned)
        for name in names:
            shutil.rmtree(self.services / name, ignore_errors=True)

    def manager_pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid, *(pid for pid in descendants(self._process.pid) if _named(pid, "s6-supervise"))]

    def start_again(self, death: str) -> None:
        assert self._process is not None
        self._process.wait(timeout=30)
        self.start_manager()

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            _run("s6-svscanctl", "-t", self._scanned)
            self._process.wait(timeout=30)


def _run(*argv: str | Path) -> str:
    told: str = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    return told


def _named(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name
    except (FileNotFoundError, ProcessLookupError):
        return False
