"""What the benchmark asks of each thing it measures, and what it gives it.

A peer runs its manager in a folder of its own and starts workers by name. It says when its own call returns; when a worker is ready is
heard by the beacon, the same for all.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

WORKER: Final = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Setup:
    """The folder the peer may use, where workers report, where peers are installed, and the native worker when it is to run that."""

    folder: Path
    beacon: Path
    peers: Path
    native: Path | None = None

    def argv(self, name: str) -> list[str]:
        """The worker as a program."""
        program = [str(self.native)] if self.native else [sys.executable, "-I", str(WORKER)]
        return [*program, name, self.directory(name), str(self.beacon)]

    def directory(self, name: str) -> str:
        return str(self.folder / "made" / name)


class Peer(ABC):
    """One manager of processes, used as its manual says, with its defaults."""

    name: ClassVar[str]
    title: ClassVar[str]
    runs_native: ClassVar[bool] = True
    most_workers: ClassVar[int] = 10_000
    has_manager: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        (setup.folder / "made").mkdir(parents=True, exist_ok=True)

    @classmethod
    @abstractmethod
    def version(cls, peers: Path) -> str | None:
        """None: not installed."""

    @abstractmethod
    def start_manager(self) -> None:
        """Return when it takes commands."""

    @abstractmethod
    def create(self, names: Sequence[str]) -> None:
        """Ask for these workers, all at once where the peer knows how."""

    @abstractmethod
    def list_running(self) -> int:
        """Ask for all workers with their state; how many run."""

    @abstractmethod
    def remove(self, names: Sequence[str]) -> None:
        """Stop these workers and forget them; return when they are gone."""

    @abstractmethod
    def manager_pids(self) -> list[int]:
        """The manager's own processes, workers not included."""

    def deaths(self) -> dict[str, list[int]]:
        """The deaths of the manager that are tried, each with the processes that are killed at once."""
        return {"manager": self.manager_pids()}

    @abstractmethod
    def start_again(self, death: str) -> None:
        """Bring the manager back, as its manual says, after that death."""

    @abstractmethod
    def close(self) -> None:
        """End the manager and everything of it."""
