"""SQLite's store against a model that is a list of dictionaries, one for each revision."""

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foreman.directory.errors import Compacted, FutureRevision, LeaseExpired
from foreman.directory.port import Absent, Comparison, Delete, KeyRange, LeaseId, Operation, Present, Put, Unchanged
from foreman.directory.sqlite.store import Store

KEYS = st.sampled_from([b"a", b"ab", b"b", b"b\xff", b"c", b"\xff"])
RANGES = st.one_of(KEYS.map(KeyRange.of_key), KEYS.map(KeyRange.of_prefix), st.builds(KeyRange, KEYS, st.none() | KEYS))
VALUES = st.sampled_from([b"", b"\0", b"value"])
EVERYTHING = KeyRange(b"\0", None)


@dataclasses.dataclass(frozen=True)
class Entry:
    value: bytes
    created: int
    modified: int
    lease: LeaseId | None


State = dict[bytes, Entry]


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now, self.boot = 1000.0, 0
        self.store = self.open()
        self.states: list[State] = [{}, {}]  # by revision; the first is 1
        self.compacted = 0
        self.leases: dict[LeaseId, tuple[float, float]] = {}  # time to live, end

    def open(self) -> Store:
        path = str(Path(self.folder.name) / "directory.sqlite")
        return Store(path, lambda: self.now, f"boot-{self.boot}", busy_timeout_s=1.0, keep_revisions=1_000_000)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    # --- the model ---

    @property
    def state(self) -> State:
        return self.states[-1]

    def end_lease(self, lease: LeaseId) -> None:
        del self.leases[lease]
        left = {key: entry for key, entry in self.state.items() if entry.lease != lease}
        if left != self.state:
            self.states.append(left)

    def end_due(self) -> None:
        for lease, (_ttl_s, end) in sorted(self.leases.items(), key=lambda item: (item[1][1], item[0])):
            if end <= self.now:
                self.end_lease(lease)

    def applied(self, operations: list[Operation]) -> None:
        revision, state = len(self.states), dict(self.state)
        for operation in operations:
            match operation:
                case Put(key, value, lease):
                    state[key] = Entry(value, state[key].created if key in state else revision, revision, lease)
                case Delete(keys):
                    state = {key: entry for key, entry in state.items() if key not in keys}
        if state != self.state:
            self.states.append(state)

    # --- what is done to both ---

    @rule(key=KEYS, value=VALUES, data=st.data())
    def put(self, key: bytes, value: bytes, data: st.DataObject) -> None:
        lease = data.draw(st.none() | st.sampled_from(sorted(self.leases)) if self.leases else st.none())
        self.transact([], [Put(key, value, lease)])

    @rule(keys=RANGES)
    def delete(self, keys: KeyRange) -> None:
        self.transact([], [Delete(keys)])

    @rule(compared=KEYS, put=KEYS, deleted=KEYS, which=st.sampled_from(["unchanged", "stale", "absent", "present"]))
    def compare(self, compared: bytes, put: bytes, deleted: bytes, which: str) -> None:
        entry = self.state.get(compared)
        comparison: Comparison = {
            "unchanged": Unchanged(compared, entry.modified if entry else 0),
            "stale": Unchanged(compared, entry.modified - 1 if entry else 7),
            "absent": Absent(compared),
            "present": Present(compared),
        }[which]  # type: ignore[assignment]
        self.transact([comparison], [Put(put, b"set"), *([Delete.key(deleted)] if deleted != put else [])])

    def transact(self, comparisons: list[Comparison], operations: list[Operation]) -> None:
        self.end_due()
        if any(isinstance(op, Put) and op.lease is not None and op.lease not in self.leases for op in operations):
            with pytest.raises(LeaseExpired):
                self.store.transact(comparisons, operations)
            self.store.expire()
            return
        held = all(self.holds(comparison) for comparison in comparisons)
        committed = self.store.transact(comparisons, operations)
        if held:
            self.applied(operations)
        assert committed.succeeded == held
        assert committed.revision == len(self.states) - 1

    def holds(self, comparison: Comparison) -> bool:
        entry = self.state.get(comparison.key)
        match comparison:
            case Unchanged(mod_revision=revision):
                return entry is not None and entry.modified == revision
            case Absent():
                return entry is None
            case Present():
                return entry is not None

    @rule(ttl_s=st.sampled_from([1.0, 5.0]))
    def grant(self, ttl_s: float) -> None:
        self.end_due()
        lease = self.store.grant_lease(ttl_s)
        self.leases[lease.id] = (ttl_s, self.now + ttl_s)

    @rule(data=st.data())
    def keep_alive(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.leases)) if self.leases else st.just(LeaseId(7)))
        self.end_due()
        if lease in self.leases:
            ttl_s, _end = self.leases[lease]
            assert self.store.keep_alive(lease) == ttl_s
            self.leases[lease] = (ttl_s, self.now + ttl_s)
        else:
            with pytest.raises(LeaseExpired):
                self.store.keep_alive(lease)
            self.store.expire()

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.leases)) if self.leases else st.just(LeaseId(7)))
        self.end_due()
        self.store.revoke_lease(lease)
        if lease in self.leases:
            self.end_lease(lease)

    @rule(passed_s=st.sampled_from([0.5, 1.0, 4.5]))
    def time_passes(self, passed_s: float) -> None:
        self.now += passed_s
        self.store.expire()
        self.end_due()

    @rule(passed_s=st.sampled_from([0.5, 1.0, 4.5]))
    def time_passes_unseen(self, passed_s: float) -> None:
        self.now += passed_s

    @rule(reboots=st.booleans())
    def opened_again(self, *, reboots: bool) -> None:
        self.store.close()
        if reboots:
            self.boot += 1
            self.leases = {lease: (ttl_s, end - 1e9) for lease, (ttl_s, end) in self.leases.items()}
        self.store = self.open()
        self.store.expire()
        self.end_due()

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        self.end_due()
        revision = data.draw(st.integers(1, len(self.states) - 1))
        self.store.compact(revision)
        self.compacted = max(self.compacted, revision)

    # --- what must be seen ---

    @rule(keys=RANGES, data=st.data(), limit=st.none() | st.integers(1, 3))
    def read(self, keys: KeyRange, data: st.DataObject, limit: int | None) -> None:
        revision = data.draw(st.none() | st.integers(1, len(self.states) + 1))
        if revision is not None and revision >= len(self.states):
            with pytest.raises(FutureRevision):
                self.store.read(keys, revision, limit)
        elif revision is not None and revision < self.compacted:
            with pytest.raises(Compacted):
                self.store.read(keys, revision, limit)
        else:
            then = self.states[-1 if revision is None else revision]
            expected = [(key, *dataclasses.astuple(then[key])) for key in sorted(then) if key in keys]
            snapshot = self.store.read(keys, revision, limit)
            got = [(e.key, e.value, e.create_revision, e.mod_revision, e.lease) for e in snapshot.entries]
            assert got == (expected if limit is None else expected[:limit])
            assert snapshot.more == (limit is not None and len(expected) > limit)

    @rule(keys=RANGES, data=st.data())
    def changes(self, keys: KeyRange, data: st.DataObject) -> None:
        after = data.draw(st.integers(self.compacted, len(self.states) - 1))
        state = dict(self.states[after])
        for changes in self.store.changes(keys, after).changes:
            for event in changes.events:
                assert event.key in keys
                value = getattr(event, "value", None)
                if value is None:
                    del state[event.key]
                else:
                    state[event.key] = self.states[changes.revision][event.key]
                    assert value == state[event.key].value
        assert {k: e for k, e in state.items() if k in keys} == {k: e for k, e in self.state.items() if k in keys}

    @invariant()
    def the_head_is_the_models(self) -> None:
        snapshot = self.store.read(EVERYTHING, None, None)
        assert {entry.key: entry.value for entry in snapshot.entries} == {key: entry.value for key, entry in self.state.items()}
        assert snapshot.revision == len(self.states) - 1


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
