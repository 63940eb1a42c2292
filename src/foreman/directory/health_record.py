"""How a node is, for everybody in the cluster: the fold over its workers, and each that is not ok, with the reason. Bounded."""

from dataclasses import dataclass
from typing import Final

from foreman.core.lifecycle import State
from foreman.directory.checks import check, check_id, check_text

MAX_AILING: Final = 100
MAX_REASON: Final = 300
MAX_WORD: Final = 64


@dataclass(frozen=True, slots=True)
class AilingWorker:
    """A worker that is neither ok nor stopped on request. ``state``: where it stands in its life; ``status``, ``reason``: its health."""

    id: str
    kind: str
    state: str
    status: str
    reason: str = ""

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        check_text(self.kind)
        check_text(self.state, MAX_WORD)
        check_text(self.status, MAX_WORD)
        check_text(self.reason)

    @property
    def given_up(self) -> bool:
        """Its node does not try any more: it is the cluster's to do something."""
        return self.state == State.FAILED

    @property
    def health(self) -> str:
        """As people read it."""
        return f"{self.status}({self.reason})" if self.reason else self.status


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """``workers``: those given up first, then by id; ``more``: how many others there was no room for."""

    node: str
    status: str
    reason: str = ""
    workers: tuple[AilingWorker, ...] = ()
    more: int = 0

    def __post_init__(self) -> None:
        check_id(self.node, "node")
        check_text(self.status, MAX_WORD)
        check_text(self.reason)
        check(len(self.workers) <= MAX_AILING and self.more >= 0, "its ailing workers are out of bounds")

    @property
    def health(self) -> str:
        """As people read it."""
        return f"{self.status}({self.reason})" if self.reason else self.status
