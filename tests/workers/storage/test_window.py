"""The window over a base, at every version, against a plain dictionary of versions."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from foreman.core.mutations import Clear, ClearRange, Mutation, Set
from foreman.workers.storage.selectors import Edge, KeySelector, SelectorName, bounds, read_page, resolve
from foreman.workers.storage.settling import Settled
from foreman.workers.storage.settling import settle as settle_wire
from foreman.workers.storage.snapshot import Snapshot
from foreman.workers.storage.window import Window
from foreman.workers.wire.transactions import decode_wire, encode_transaction

KEYS = st.binary(max_size=2).map(lambda raw: bytes(b % 4 + 97 for b in raw))
SETS = st.builds(Set, KEYS, st.binary(max_size=3))
MUTATIONS = st.one_of(SETS, SETS, st.builds(Clear, KEYS), st.builds(ClearRange, KEYS, KEYS))
TRANSACTIONS = st.lists(MUTATIONS, max_size=8)
SELECTORS = st.builds(KeySelector, st.sampled_from(SelectorName), KEYS, st.integers(-5, 5))


def settle(mutations: list[Mutation]) -> Settled:
    return settle_wire(decode_wire(encode_transaction(mutations)))


def applied(state: dict[bytes, bytes], mutations: list[Mutation]) -> dict[bytes, bytes]:
    """The meaning of a transaction, as plainly as can be."""
    state = dict(state)
    for mutation in mutations:
        match mutation:
            case Set(key, value):
                state[key] = value
            case Clear(key):
                state.pop(key, None)
            case ClearRange(begin, end):
                state = {key: value for key, value in state.items() if not begin <= key < end}
    return state


class DictBase:
    def __init__(self, state: dict[bytes, bytes]) -> None:
        self.state = state

    def get(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def scan(self, begin: bytes, end: bytes | None, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        pairs = [(k, v) for k, v in sorted(self.state.items()) if k >= begin and (end is None or k < end)]
        return iter(pairs[::-1] if reverse else pairs)


def expected_key(state: dict[bytes, bytes], selector: KeySelector) -> bytes | Edge:
    keys = sorted(state)
    at = {
        SelectorName.FIRST_GREATER_OR_EQUAL: bisect_left(keys, selector.key),
        SelectorName.FIRST_GREATER_THAN: bisect_right(keys, selector.key),
        SelectorName.LAST_LESS_OR_EQUAL: bisect_right(keys, selector.key) - 1,
        SelectorName.LAST_LESS_THAN: bisect_left(keys, selector.key) - 1,
    }[selector.name] + selector.offset
    if at < 0:
        return Edge.BEFORE_FIRST
    return keys[at] if at < len(keys) else Edge.AFTER_LAST


class WindowMachine(RuleBasedStateMachine):
    """Transactions, flushes and recoveries in any order; every version of the window is read in full after each."""

    @initialize(start=st.integers(0, 3), state=st.dictionaries(KEYS, st.binary(max_size=2)))
    def begin(self, start: int, state: dict[bytes, bytes]) -> None:
        self.window, self.base = Window(start), DictBase(state)
        self.model = {start: state}
        self.now = 0.0

    @rule(step=st.integers(1, 3), mutations=TRANSACTIONS, wait=st.floats(0, 2))
    def apply(self, step: int, mutations: list[Mutation], wait: float) -> None:
        self.now += wait
        newest = max(self.model)
        self.window.apply(newest + step, settle(mutations), self.now)
        self.model[newest + step] = applied(self.model[newest], mutations)

    @rule(keep_s=st.floats(0, 4), keep_cost=st.integers(0, 20_000), at_most=st.integers(0, 5_000))
    def flush(self, keep_s: float, keep_cost: int, at_most: int) -> None:
        version = self.window.due(self.now, keep_s, keep_cost, at_most)
        if version is None:
            return
        state = self.base.state
        for batch in self.window.through(version):
            for begin, end in batch.settled.ranges:
                state = {key: value for key, value in state.items() if not begin <= key < end}
            for key, value in batch.settled.points:
                state = {**state, key: value} if value is not None else {k: v for k, v in state.items() if k != key}
        self.base.state = state
        self.window.drop_through(version)
        self.model = {v: state for v, state in self.model.items() if v >= version}
        assert self.base.state == self.model[version]

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data())
    def recover(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.model)))
        self.window.drop_after(version)
        self.model = {v: state for v, state in self.model.items() if v <= version}

    @rule(data=st.data(), begin=SELECTORS, end=SELECTORS, reverse=st.booleans(), limit=st.integers(1, 5), size=st.integers(0, 20))
    def read_a_page(self, *, data: st.DataObject, begin: KeySelector, end: KeySelector, reverse: bool, limit: int, size: int) -> None:
        version = data.draw(st.sampled_from(sorted(self.model)))
        state, snapshot = self.model[version], Snapshot(self.window, self.base, version)
        assert resolve(begin, snapshot) == expected_key(state, begin)
        low, high = expected_key(state, begin), expected_key(state, end)
        plain = bounds(begin, end, snapshot)
        if plain is None:
            assert low is Edge.AFTER_LAST or high is Edge.BEFORE_FIRST
            return
        pairs = [(k, v) for k, v in sorted(state.items()) if k >= plain[0] and (plain[1] is None or k < plain[1])]
        page = read_page(snapshot, *plain, limit=limit, max_bytes=size, reverse=reverse)
        assert page.pairs == (pairs[::-1] if reverse else pairs)[: len(page.pairs)]
        assert page.more == (len(page.pairs) < len(pairs))
        assert page.pairs or not pairs

    @invariant()
    def every_version_reads_as_in_the_model(self) -> None:
        if not hasattr(self, "window"):
            return
        window = self.window
        assert (window.durable, window.latest) == (min(self.model), max(self.model))
        assert window.cost >= 0
        assert bool(window.cost) == bool(len(window))
        for version, state in self.model.items():
            snapshot = Snapshot(window, self.base, version)
            assert list(snapshot.scan(b"", None)) == sorted(state.items())
            backwards = sorted(((k, v) for k, v in state.items() if b"b" <= k < b"c"), reverse=True)
            assert list(snapshot.scan(b"b", b"c", reverse=True)) == backwards
            assert all(snapshot.get(key) == state.get(key) for key in (b"", b"a", b"b", b"ab", b"cd"))


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


def test_a_transaction_of_overlapping_clears_costs_its_union() -> None:
    mutations: list[Mutation] = []
    for number in range(20_000):
        mutations += (ClearRange(b"", b"\xff"), Set(b"%d" % number, b"v"), ClearRange(b"%d" % number, b"%d\xff" % number))
    settled = settle(mutations)
    assert settled.ranges == ((b"", b"\xff"),)
    assert len(settled.points) == 0


def test_a_hot_key_keeps_every_version_of_the_window_and_finds_each() -> None:
    window = Window(0)
    for version in range(1, 2_001):
        window.apply(version, settle([Set(b"k", b"%d" % version)]), float(version))
    assert all(window.find(b"k", version) == b"%d" % version for version in range(1, 2_001))
    window.drop_through(1_000)
    assert window.chains[b"k"][0] == 1_001
    window.drop_through(2_000)
    assert not window.chains
    assert window.cost == 0


def test_keys_in_order_are_found_through_many_insertions_and_deaths() -> None:
    window = Window(0)
    for version in range(1, 41):
        window.apply(version, settle([Set(b"%06d" % ((n * 7919 + version) % 100_003), b"v") for n in range(100)]), float(version))
        keys = [key for key, _ in window.changed(b"", None, version)]
        assert keys == sorted(window.chains)
        assert [key for key, _ in window.changed(b"", None, version, reverse=True)] == keys[::-1]
        if version % 5 == 0:
            window.drop_through(version - 3)
    window.drop_through(40)
    assert list(window.changed(b"", None, 40)) == []
