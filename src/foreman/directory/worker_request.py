"""Somebody asks the cluster, not one node, for a worker: what was asked, where it was placed, and what came of it."""

from dataclasses import dataclass, field
from typing import Any, Final

from foreman.directory.checks import check, check_id, check_text

ASKED: Final = "asked"
"""The director is to make it: on ``node``, or where it decides to."""
MADE: Final = "made"
"""It was healthy on ``node``; from then on that node keeps it."""
FAILED: Final = "failed"
"""``error`` says why. With a ``node``, the worker is there and goes on trying by its restart policy."""
REMOVING: Final = "removing"
"""The director is to remove it; then this record goes."""
STATES: Final = (ASKED, MADE, FAILED, REMOVING)


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """Lasting, until the worker is removed: it is what a retry finds, so that it asks for the same worker on the same node.

    ``node``: "" until a director has placed it, written before the node is asked. ``problem``: what it waits for. ``error``: the code,
    the detail and the facts of the error. ``since``: Unix time, s, for people.
    """

    id: str
    kind: str
    params: dict[str, Any]
    since: float
    state: str = ASKED
    node: str = ""
    problem: str = ""
    error: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        check_text(self.kind)
        check(self.state in STATES, "its state is none")
        if self.node:
            check_id(self.node, "node")
        check_text(self.problem)
