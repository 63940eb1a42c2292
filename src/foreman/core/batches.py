"""The journal's records: what was promised for several workers at once and must be finished, or undone, after a crash."""

from dataclasses import dataclass

from foreman.core.ids import BatchId, WorkerId


@dataclass(frozen=True, slots=True)
class CreateBatch:
    """All of ``ids`` become healthy, or all are removed. Found at a start, it was not finished: whatever it made is removed again.

    A directory belongs to it when its manifest names this batch, so a worker that was there before, or came later, is never undone.
    """

    batch: BatchId
    ids: tuple[WorkerId, ...]


@dataclass(frozen=True, slots=True)
class RemovalTarget:
    """``created_at`` (of the manifest) tells this worker from a later one with the same id. None: whatever is there."""

    id: WorkerId
    created_at: float | None


@dataclass(frozen=True, slots=True)
class RemoveBatch:
    """All of ``targets`` are removed. Found at a start, the removal goes on where it was. One worker is a batch of one."""

    batch: BatchId
    targets: tuple[RemovalTarget, ...]


JournalRecord = CreateBatch | RemoveBatch
