"""What a caller is shown: frozen, plain values. The same ones in process, over HTTP and on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from foreman.core.health import Health


@dataclass(frozen=True, slots=True)
class WorkerRef:
    """A worker by name. ``name`` is what the cluster calls it: ``{cluster}_{id}``."""

    id: str
    kind: str
    name: str


class ServiceInfo(NamedTuple):
    """A healthy worker as the cluster sees it: a compact tuple, so that a whole node is one small message."""

    id: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class LastExit:
    """How the last incarnation ended. ``status`` as a shell would say it: "exit 1", "SIGKILL"; ``at`` in seconds of Unix time."""

    status: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Everything about one worker, now.

    ``state`` is the lifecycle state (core/lifecycle.py). ``restarts`` counts the starts after the first since the server started.
    ``started_at`` is Unix time in seconds; only for people, nothing is decided by it. ``endpoint`` is what the worker said in
    X_FOREMAN_ENDPOINT (``unix:/path`` or ``host:port``). ``local_endpoint``: a shorter way for programs on its own machine, when it named
    one beside that; None for who asks from another machine.
    """

    id: str
    kind: str
    name: str
    state: str
    health: Health
    params: Mapping[str, Any]
    pid: int | None
    incarnation: str | None
    restarts: int
    started_at: float | None
    directory: str
    endpoint: str | None
    status_text: str | None
    last_exit: LastExit | None
    local_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One line of a worker's story: at ``when`` (Unix time, s), ``event`` came, the machine took ``decision``, because of ``reason``."""

    when: float
    event: str
    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerChanged:
    """A worker is in another state or health than before. ``sequence`` increases by one with each event of one server."""

    sequence: int
    at: float
    id: str
    kind: str
    state: str
    previous_state: str | None
    health: Health
    pid: int | None
    incarnation: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerRemoved:
    sequence: int
    at: float
    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """The aggregate health of the node changed."""

    sequence: int
    at: float
    health: Health
    previous: Health


EVENT_NAMES: Final = {"worker_changed": WorkerChanged, "worker_removed": WorkerRemoved, "health_changed": HealthChanged}
"""The name of each event on the wire (SSE ``event:``)."""

NodeEvent = WorkerChanged | WorkerRemoved | HealthChanged


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """The node itself. ``uptime`` of the server in seconds; ``supervisor_pid`` None while it is being started again.

    ``name``: what people call it.
    """

    node_id: str
    cluster: str
    data: str
    address: str
    version: str
    pid: int
    supervisor_pid: int | None
    uptime: float
    kinds: tuple[str, ...]
    capabilities: tuple[str, ...]
    directory_reachable: bool
    health: Health
    workers: int
    name: str = ""
