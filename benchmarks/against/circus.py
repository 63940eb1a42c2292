"""circus: circusd, and its own client."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.driver import DRIVERS, Driver
from benchmarks.peer import Peer, Setup


class Circus(Peer):
    name = "circus"
    title = "circus"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._process: subprocess.Popen[bytes] | None = None
        self._driver: Driver | None = None

    @classmethod
    def version(cls, peers: Path) -> str | None:
        python = peers / "python/bin/python"
        if not (peers / "python/bin/circusd").exists():
            return None
        return subprocess.check_output([python, "-c", "import importlib.metadata as m; print(m.version('circus'))"], text=True).strip()

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    def start_manager(self) -> None:
        folder, programs = self.setup.folder, self.setup.peers / "python/bin"
        endpoints = {name: f"ipc://{folder}/{name}" for name in ("endpoint", "pubsub_endpoint")}
        text = "[circus]\n" + "".join(f"{name} = {address}\n" for name, address in endpoints.items())
        (folder / "circus.ini").write_text(text, encoding="utf-8")
        log = (folder / "circusd.log").open("ab")
        with log:
            self._process = subprocess.Popen([programs / "circusd", folder / "circus.ini"], stdout=log, stderr=log)
        self._driver = Driver(
            [str(programs / "python"), str(DRIVERS / "circus_driver.py"), endpoints["endpoint"]], log=folder / "driver.log"
        )
        self.driver.ask("list")

    def create(self, names: Sequence[str]) -> None:
        self.driver.ask("create", workers={name: self.setup.argv(name) for name in names})

    def list_running(self) -> int:
        return int(self.driver.ask("list"))

    def remove(self, names: Sequence[str]) -> None:
        self.driver.ask("remove", names=list(names))

    def manager_pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    def start_again(self, death: str) -> None:
        self.close()
        self.start_manager()

    def close(self) -> None:
        if self._driver is not None:
            self._driver.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
