"""What survives the server: the disk, the processes, the directory. Each act checks what must never happen."""

from dataclasses import dataclass, field

from foreman.core.batches import CreateBatch, JournalRecord, RemoveBatch
from foreman.core.health import Health
from foreman.core.ids import BatchId, Incarnation, WorkerId
from foreman.core.manifest import Desired, Manifest


class Violation(AssertionError):
    """A promise of the product was broken. The message carries the transcript of the whole run."""


@dataclass(slots=True)
class Process:
    """One running worker. ``obeys``: ends at TERM."""

    id: WorkerId
    incarnation: Incarnation
    kind: str
    pid: int
    ready: bool = False
    obeys: bool = True
    silent: bool = False
    health: Health | None = None


@dataclass(slots=True)
class World:
    """Disk, supervisor and directory.

    ``made``: every batch of creation that ever wrote its journal record, with the workers it was to make. ``uncleared`` and
    ``stuck``: records that could not be cleared, and workers whose directory could not be moved, so that records may stay.
    """

    workers: dict[WorkerId, Manifest] = field(default_factory=dict)
    trash: dict[str, WorkerId] = field(default_factory=dict)
    journal: dict[BatchId, JournalRecord] = field(default_factory=dict)
    processes: dict[WorkerId, Process] = field(default_factory=dict)
    services: set[WorkerId] = field(default_factory=set)
    made: dict[BatchId, tuple[WorkerId, ...]] = field(default_factory=dict)
    uncleared: set[BatchId] = field(default_factory=set)
    stuck: set[WorkerId] = field(default_factory=set)
    directory_away: bool = False
    next_pid: int = 1000
    next_trash: int = 0

    # --- disk ---

    def prepare(self, manifest: Manifest) -> bool:
        """False when another worker's directory stands there."""
        there = self.workers.get(manifest.id)
        if there is not None and there != manifest:
            raise Violation(f"a directory is made for {manifest.id} where another worker's stands")
        self.workers[manifest.id] = manifest
        return True

    def record_desired(self, id: WorkerId, desired: Desired) -> None:
        old = self.workers[id]
        self.workers[id] = Manifest(old.cluster, old.id, old.kind, old.params, old.created_at, desired, old.batch, old.format)

    def move_to_trash(self, id: WorkerId) -> str:
        """The path in trash; empty when nothing was there."""
        if id in self.processes:
            raise Violation(f"the directory of {id} is moved away while its process lives")
        if id not in self.workers:
            return ""
        del self.workers[id]
        self.next_trash += 1
        path = f"trash/{id}.{self.next_trash}"
        self.trash[path] = id
        return path

    def write_journal(self, record: JournalRecord) -> None:
        self.journal[record.batch] = record
        if isinstance(record, CreateBatch):
            self.made[record.batch] = record.ids

    def is_excused(self, record: JournalRecord) -> bool:
        """Its clearing failed, or a directory it wants gone could not be moved away."""
        match record:
            case CreateBatch(batch, ids):
                return batch in self.uncleared or not self.stuck.isdisjoint(ids)
            case RemoveBatch(batch, targets):
                return batch in self.uncleared or not self.stuck.isdisjoint(target.id for target in targets)

    # --- processes ---

    def start(self, id: WorkerId, incarnation: Incarnation, kind: str) -> Process | None:
        """The process; None when the lock is held by another incarnation."""
        there = self.processes.get(id)
        if there is not None:
            return there if there.incarnation == incarnation else None
        if id not in self.workers:
            raise Violation(f"{id} is started without a directory")
        if self.workers[id].kind != kind:
            raise Violation(f"{id} is started as {kind}, and its manifest says {self.workers[id].kind}")
        self.next_pid += 1
        self.processes[id] = Process(id, incarnation, kind, self.next_pid)
        return self.processes[id]

    def current(self, id: WorkerId, incarnation: Incarnation) -> Process | None:
        process = self.processes.get(id)
        return process if process is not None and process.incarnation == incarnation else None

    def signal(self, process: Process) -> None:
        """A ready worker is out of the directory before it is asked to end (the entry of a dead one may still be on its way)."""
        if process.ready and process.id in self.services and not self.directory_away:
            raise Violation(f"{process.id} is signalled while the directory still names it")
