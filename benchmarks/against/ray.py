"""Ray: actors as workers. Its own processes are many; all that is not a worker is counted as manager."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.driver import DRIVERS, Driver
from benchmarks.facts import descendants
from benchmarks.peer import Peer, Setup


class Ray(Peer):
    name = "ray"
    title = "Ray"
    runs_native = False
    most_workers = 20

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._driver: Driver | None = None

    @classmethod
    def version(cls, peers: Path) -> str | None:
        found = sorted((peers / "python").glob("lib/python*/site-packages/ray-*.dist-info"))
        return found[0].name.removeprefix("ray-").removesuffix(".dist-info") if found else None

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    def start_manager(self) -> None:
        argv = [str(self.setup.peers / "python/bin/python"), str(DRIVERS / "ray_driver.py"), str(self.setup.folder / "ray")]
        self._driver = Driver(argv, log=self.setup.folder / "driver.log")
        self.driver.ask("start")

    def create(self, names: Sequence[str]) -> None:
        self.driver.ask("create", workers={name: self.setup.argv(name) for name in names})

    def list_running(self) -> int:
        return int(self.driver.ask("list"))

    def remove(self, names: Sequence[str]) -> None:
        self.driver.ask("remove", names=list(names))

    def manager_pids(self) -> list[int]:
        return [pid for pid in descendants(self.driver.pid) if not _is_worker(pid)]

    def start_again(self, death: str) -> None:
        self.driver.close()
        self.start_manager()

    def close(self) -> None:
        if self._driver is not None:
            self._driver.close()


def _is_worker(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return command.startswith(b"ray::") and b"Agent" not in command
