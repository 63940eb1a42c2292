"""pm2 (npm): its daemon, and its own library."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.driver import DRIVERS, Driver, DriverFailed
from benchmarks.peer import Peer, Setup


class Pm2(Peer):
    name = "pm2"
    title = "pm2"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._driver: Driver | None = None
        self._package = setup.peers / "npm/node_modules/pm2"
        self._environment = {**os.environ, "PM2_HOME": str(setup.folder / "home")}

    @classmethod
    def version(cls, peers: Path) -> str | None:
        package = peers / "npm/node_modules/pm2/package.json"
        if not package.exists() or shutil.which("node") is None:
            return None
        return str(json.loads(package.read_text(encoding="utf-8"))["version"])

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    def start_manager(self) -> None:
        argv = ["node", str(DRIVERS / "pm2_driver.js"), str(self._package)]
        self._driver = Driver(argv, log=self.setup.folder / "driver.log", environment=self._environment)
        self.driver.ask("start")

    def create(self, names: Sequence[str]) -> None:
        self.driver.ask("create", workers={name: self.setup.argv(name) for name in names})
        self.driver.ask("dump")

    def list_running(self) -> int:
        return int(self.driver.ask("list"))

    def remove(self, names: Sequence[str]) -> None:
        self.driver.ask("remove", names=list(names))

    def manager_pids(self) -> list[int]:
        return [int((self.setup.folder / "home/pm2.pid").read_text(encoding="ascii"))]

    def start_again(self, death: str) -> None:
        self.driver.close()
        subprocess.run(
            ["node", self._package / "bin/pm2", "resurrect"], env=self._environment, check=False, capture_output=True, timeout=60
        )
        self.start_manager()

    def close(self) -> None:
        if self._driver is not None:
            with contextlib.suppress(DriverFailed):
                self._driver.ask("kill")
            self._driver.close()
