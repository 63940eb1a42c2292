"""Everything that can go wrong, as one tree.

    ForemanError
    ├─ InvalidWorkerId · InvalidClusterName · UnknownKind · InvalidParams · InvalidRequest · InvalidConfiguration  the caller's
    ├─ WorkerNotFound · WorkerExists · WorkerDirectoryBusy · WorkerBusy            this worker's state
    ├─ FailedToStart · FailedToRemoveDirectory · BatchFailed · WorkersUnhealthy    what was tried failed
    ├─ InsufficientSpace · DiskFault · DataDirectoryInUse · DataDirectoryInvalid   the disk's
    ├─ ForemanTimeout (also TimeoutError) · ForemanUnavailable (also ConnectionError)
    ├─ NotAuthorized
    ├─ NodeNotFound · AmbiguousNode · StaleGeneration · ForeignGeneration          between nodes (core/cluster_errors.py)
    └─ DataPlaneError      (core/data_errors.py: what log and storage workers answer)

What every one of them has, and how it travels, is in ``core/error_base.py``.
"""

from collections.abc import Mapping, Sequence

from foreman.core.cluster_errors import AmbiguousNode, ForeignGeneration, NodeNotFound, StaleGeneration
from foreman.core.error_base import ForemanError

__all__ = [
    "AmbiguousNode",
    "BatchFailed",
    "DataDirectoryInUse",
    "DataDirectoryInvalid",
    "DiskFault",
    "FailedToRemoveDirectory",
    "FailedToStart",
    "ForeignGeneration",
    "ForemanError",
    "ForemanTimeout",
    "ForemanUnavailable",
    "InsufficientSpace",
    "InvalidClusterName",
    "InvalidConfiguration",
    "InvalidParams",
    "InvalidRequest",
    "InvalidWorkerId",
    "NodeNotFound",
    "NotAuthorized",
    "StaleGeneration",
    "UnknownKind",
    "WorkerBusy",
    "WorkerDirectoryBusy",
    "WorkerExists",
    "WorkerNotFound",
    "WorkersUnhealthy",
]


class InvalidWorkerId(ForemanError, code="invalid_worker_id", status=422, fields=("id",)):
    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"{self.id[:80]!r} is not a worker id: use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit"


class InvalidClusterName(ForemanError, code="invalid_cluster_name", status=422, fields=("name",)):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"{self.name[:80]!r} is not a cluster name: use 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit"


class UnknownKind(ForemanError, code="unknown_kind", status=422, fields=("kind", "known")):
    def __init__(self, kind: str, known: Sequence[str]) -> None:
        super().__init__(kind, known)
        self.kind, self.known = kind, tuple(sorted(known))

    def __str__(self) -> str:
        return (
            f"no kind {self.kind[:80]!r} on this node; it knows {', '.join(self.known) or 'none'} (add one under [kinds] in foreman.toml)"
        )


class InvalidParams(ForemanError, code="invalid_params", status=422, fields=("kind", "problems")):
    """``problems``: one sentence for each thing that is wrong with the params."""

    def __init__(self, kind: str, problems: Sequence[str]) -> None:
        super().__init__(kind, problems)
        self.kind, self.problems = kind, tuple(problems)

    def __str__(self) -> str:
        return f"params do not fit kind {self.kind}: {'; '.join(self.problems)}"


class InvalidRequest(ForemanError, code="invalid_request", status=422, fields=("problems",)):
    """A request that has not the form of any: unknown field, wrong type, too large, a duplicate id in one batch."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"the request is not valid: {'; '.join(self.problems)}"


class InvalidConfiguration(ForemanError, code="invalid_configuration", status=422, fields=("problems",)):
    """``problems``: each with file, line and the nearest known key where there is one."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "the configuration is not valid: " + "; ".join(self.problems)


class WorkerNotFound(ForemanError, code="worker_not_found", status=404, fields=("id",)):
    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"there is no worker {self.id} on this node (see `foreman ls`)"


class WorkerExists(ForemanError, code="worker_exists", status=409, fields=("id",)):
    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"worker {self.id} exists with another kind or other params; remove it first or choose another id"


class WorkerBusy(ForemanError, code="worker_busy", status=409, fields=("id", "doing")):
    """The worker is on its way out (being removed, or its batch is being undone), or its node is shutting down."""

    def __init__(self, id: str, doing: str) -> None:
        super().__init__(id, doing)
        self.id, self.doing = id, doing

    def __str__(self) -> str:
        return f"worker {self.id} is {self.doing}; try again when that is done"


class WorkerDirectoryBusy(ForemanError, code="worker_directory_busy", status=409, fields=("id", "path")):
    def __init__(self, id: str, path: str) -> None:
        super().__init__(id, path)
        self.id, self.path = id, path

    def __str__(self) -> str:
        return f"the directory of {self.id} is in use by a process that is not ours: {self.path} (who: `fuser -v {self.path}/lock`)"


class FailedToStart(ForemanError, code="failed_to_start", status=502, fields=("id", "reason")):
    def __init__(self, id: str, reason: str) -> None:
        super().__init__(id, reason)
        self.id, self.reason = id, reason

    def __str__(self) -> str:
        return f"worker {self.id} failed to start: {self.reason} (see `foreman output {self.id}` and `foreman why {self.id}`)"


class FailedToRemoveDirectory(ForemanError, code="failed_to_remove_directory", status=500, fields=("id", "errno", "errno_name", "path")):
    def __init__(self, id: str, errno: int, errno_name: str, path: str) -> None:
        super().__init__(id, errno, errno_name, path)
        self.id, self.errno, self.errno_name, self.path = id, errno, errno_name, path

    def __str__(self) -> str:
        return f"the directory of {self.id} could not be removed: {self.errno_name} (errno {self.errno}) at {self.path}"


class BatchFailed(ForemanError, code="batch_failed", status=502, fields=("failures",)):
    """``new_workers`` made nothing: what was made has been removed again. ``failures``: id → why."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        super().__init__(failures)
        self.failures = dict(failures)

    def __str__(self) -> str:
        return "none was created, because of " + "; ".join(f"{id}: {why}" for id, why in sorted(self.failures.items()))


class WorkersUnhealthy(ForemanError, code="workers_unhealthy", status=503, fields=("workers",)):
    """``workers``: id → its health and why, for each that is not ok."""

    def __init__(self, workers: Mapping[str, str]) -> None:
        super().__init__(workers)
        self.workers = dict(workers)

    def __str__(self) -> str:
        return "not healthy: " + "; ".join(f"{id}: {why}" for id, why in sorted(self.workers.items()))


class InsufficientSpace(ForemanError, code="insufficient_space", status=507, fields=("path", "free", "needed")):
    """``free`` and ``needed`` in bytes."""

    def __init__(self, path: str, free: int, needed: int) -> None:
        super().__init__(path, free, needed)
        self.path, self.free, self.needed = path, free, needed

    def __str__(self) -> str:
        return f"too little space at {self.path}: {self.free} bytes free, {self.needed} needed ([disk] min_free)"


class DiskFault(ForemanError, code="disk_fault", status=500, fields=("errno", "errno_name", "path")):
    """The disk refused or failed; what was asked for has not been done. ``errno_name`` as in errno.h; ``path`` where."""

    def __init__(self, errno: int, errno_name: str, path: str) -> None:
        super().__init__(errno, errno_name, path)
        self.errno, self.errno_name, self.path = errno, errno_name, path

    def __str__(self) -> str:
        return f"the disk says {self.errno_name} (errno {self.errno}) at {self.path}; nothing was changed"


class DataDirectoryInUse(ForemanError, code="data_directory_in_use", status=409, fields=("path",)):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"another foreman runs on {self.path}; use it (`foreman --data {self.path} ls`) or choose another --data"


class DataDirectoryInvalid(ForemanError, code="data_directory_invalid", status=500, fields=("path", "reason")):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} cannot be used as a data directory: {self.reason}"


class ForemanTimeout(ForemanError, TimeoutError, code="timeout", status=504, fields=("what", "timeout", "workers")):
    """``workers``: id → what it is doing instead of being done, for each that is late. The work itself goes on."""

    def __init__(self, what: str, timeout: float, workers: Mapping[str, str] | None = None) -> None:
        super().__init__(what, timeout, workers)
        self.what, self.timeout, self.workers = what, timeout, dict(workers or {})

    def __str__(self) -> str:
        late = "; ".join(f"{id}: {why}" for id, why in sorted(self.workers.items()))
        return f"{self.what} was not done within {self.timeout:g} s" + (f": {late}" if late else "")


class ForemanUnavailable(ForemanError, ConnectionError, code="unavailable", status=503, fields=("address", "reason")):
    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"no foreman answers at {self.address}: {self.reason} (start one with `foreman up`)"


class NotAuthorized(ForemanError, code="not_authorized", status=403, fields=("reason", "status")):
    """401 when nobody said who they are, 403 when who they are may not do this."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason, status)
        self.reason, self.status = reason, status

    def __str__(self) -> str:
        return f"not authorized: {self.reason}"
