"""runit, unpacked from Debian's package: one runsv for each service, started directly, without runsvdir's look every five seconds."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.against.service_directory import write_service
from benchmarks.peer import Peer, Setup


class Runit(Peer):
    """One runsv for each service, started directly: without runsvdir's look every five seconds."""

    name = "runit"
    title = "runit (runsv)"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.services = setup.folder / "services"
        self.services.mkdir()
        self._environment = {**os.environ, "PATH": f"{setup.peers / 'debian/usr/bin'}:{os.environ['PATH']}"}
        self._runsv: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def version(cls, peers: Path) -> str | None:
        found = sorted((peers / "debian/packages").glob("runit_*.deb"))
        return found[-1].name.split("_")[1] if found else None

    def start_manager(self) -> None:
        """There is none: each service has its runsv."""

    def create(self, names: Sequence[str]) -> None:
        for name in names:
            write_service(self.services / name, self.setup.argv(name))
            self._supervise(name)

    def _supervise(self, name: str) -> None:
        self._runsv[name] = subprocess.Popen(
            ["runsv", self.services / name], env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )

    def list_running(self) -> int:
        told = self._sv("status", *self._runsv)
        return sum(1 for line in told.splitlines() if line.startswith("run:"))

    def remove(self, names: Sequence[str]) -> None:
        self._sv("-w", "30", "force-shutdown", *names)
        for name in names:
            self._runsv.pop(name).wait(timeout=30)
            shutil.rmtree(self.services / name)

    def manager_pids(self) -> list[int]:
        return [process.pid for process in self._runsv.values()]

    def start_again(self, death: str) -> None:
        for name, process in list(self._runsv.items()):
            process.wait(timeout=30)
            self._supervise(name)

    def close(self) -> None:
        if self._runsv:
            self.remove(list(self._runsv))

    def _sv(self, *words: str) -> str:
        argv = ["sv", *(str(self.services / word) if word in self._runsv else word for word in words)]
        told: str = subprocess.run(argv, env=self._environment, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
        return told
