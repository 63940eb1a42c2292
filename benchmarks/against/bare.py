"""The baselines: what the kernel itself takes to start this worker, by exec of the program and by fork from a warm parent."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.driver import DRIVERS, Driver
from benchmarks.peer import Peer, Setup


class Bare(Peer):
    """A parent that starts and starts again, and nothing else."""

    mode: ClassVar[str]
    has_manager: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._driver: Driver | None = None

    @classmethod
    def version(cls, peers: Path) -> str | None:
        return f"Linux {os.uname().release}"

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    def start_manager(self) -> None:
        root = str(DRIVERS.parents[1])
        argv = [sys.executable, "-m", "benchmarks.drivers.bare_parent", self.mode]
        self._driver = Driver(argv, log=self.setup.folder / "log", environment={**os.environ, "PYTHONPATH": root})
        self.driver.ask("list")

    def create(self, names: Sequence[str]) -> None:
        self.driver.ask("create", argvs=[self.setup.argv(name) for name in names])

    def list_running(self) -> int:
        return int(self.driver.ask("list"))

    def remove(self, names: Sequence[str]) -> None:
        self.driver.ask("remove")

    def manager_pids(self) -> list[int]:
        return [self.driver.pid]

    def start_again(self, death: str) -> None:
        self.driver.close()
        self.start_manager()

    def close(self) -> None:
        if self._driver is not None:
            self._driver.close()


class BareExec(Bare):
    name = "exec"
    title = "exec of the worker, bare"
    mode = "exec"


class BareFork(Bare):
    name = "fork"
    title = "fork from a warm parent, bare"
    mode = "fork"
    runs_native = False
