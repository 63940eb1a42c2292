"""A worker that holds a part of the keys: what is outside is neither kept nor read, and the error says what is held."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis.asyncio as redis
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.data_errors import DurableVersionAhead, InvalidCommand, NewerLockExists, WrongKeyRange, data_error_from_wire
from foreman.core.mutations import Clear, ClearRange, Set
from foreman.workers.clients.storage_client import StorageClient
from foreman.workers.storage.key_range import KeyRange, cover, parse_key_range, show_key
from foreman.workers.storage.layout import parse_layout
from foreman.workers.storage.selectors import Edge, KeySelector, SelectorName, resolve
from foreman.workers.storage.settling import clipped, settle
from foreman.workers.storage.snapshot import Pair, Snapshot
from foreman.workers.storage.stored import Lock, Refill, Stored, decode_stored, locked_by, unlocked
from foreman.workers.storage.window import Window
from foreman.workers.wire.transactions import decode_wire, encode_transaction
from tests.workers.storage.asking import ask, error_of, everything, until_durable, wait_for
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.test_window import applied
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]
KEYS = st.binary(max_size=2)
RANGES = st.tuples(KEYS, st.none() | KEYS).filter(lambda pair: pair[1] is None or pair[0] < pair[1]).map(lambda pair: KeyRange(*pair))
MUTATIONS = st.lists(st.builds(Set, KEYS, st.binary(max_size=1)) | st.builds(Clear, KEYS) | st.builds(ClearRange, KEYS, KEYS), max_size=8)


@given(RANGES)
def test_a_range_survives_json_the_record_and_the_wire(keys: KeyRange) -> None:
    assert parse_key_range(json.loads(json.dumps(keys.as_json()))) == keys
    assert decode_stored(Stored(key_range=keys, refill=Refill(1, 2, keys.begin)).encode()).key_range == keys
    error = data_error_from_wire(keys.error().wire())
    assert isinstance(error, WrongKeyRange)
    assert error == keys.error()
    assert (error.begin, error.end) == (show_key(keys.begin), show_key(keys.end or b""))


@pytest.mark.parametrize(
    "value", [None, "a", ["a"], ["b", "a"], ["a", "a"], [1, None], [None, "a"], ["a" * 10_001, None], [{"base64": "!"}, None]]
)
def test_what_is_no_range_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="key_range"):
        parse_key_range(value)


@given(st.lists(RANGES, max_size=4), RANGES)
def test_ranges_cover_another_when_each_key_of_it_is_in_one_of_them(parts: list[KeyRange], keys: KeyRange) -> None:
    edges = {keys.begin, *(edge for part in parts for edge in (part.begin, part.end) if edge is not None)}
    # where what is covered changes: at an edge, and nowhere else
    assert cover(parts, keys) == all(any(part.contains(edge) for part in parts) for edge in edges if keys.contains(edge))


@given(RANGES, MUTATIONS)
def test_a_clipped_transaction_does_inside_what_the_whole_does(keys: KeyRange, mutations: list[Set | Clear | ClearRange]) -> None:
    before = {bytes([first, second]): b"old" for first in range(0, 256, 16) for second in (0, 200)}
    whole, part = Window(0), Window(0)
    whole.apply(1, settle(decode_wire(encode_transaction(mutations))), 0.0)
    part.apply(1, clipped(settle(decode_wire(encode_transaction(mutations))), keys), 0.0)
    after = applied(before, mutations)
    assert not any(keys.contains(part.begin) for part in keys.outside())
    for key in {*before, *after, *(mutation.key for mutation in mutations if not isinstance(mutation, ClearRange))}:
        if keys.contains(key):
            assert part.find(key, 1) == whole.find(key, 1)
        else:
            assert key not in part.chains


class Dict:
    """A base from a dictionary."""

    def __init__(self, pairs: dict[bytes, bytes]) -> None:
        self._pairs = sorted(pairs.items())

    def get(self, key: bytes) -> bytes | None:
        return dict(self._pairs).get(key)

    def scan(self, begin: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Pair]:
        found = [pair for pair in self._pairs if begin <= pair[0] and (end is None or pair[0] < end)]
        return iter(found[::-1] if reverse else found)


@given(RANGES, st.dictionaries(KEYS, st.just(b"v"), max_size=12), st.sampled_from(list(SelectorName)), KEYS, st.integers(-3, 3))
def test_a_selector_finds_what_it_would_among_all_keys_or_says_that_it_cannot_know(
    keys: KeyRange, pairs: dict[bytes, bytes], name: SelectorName, key: bytes, offset: int
) -> None:
    selector = KeySelector(name, key, offset)
    among_all = resolve(selector, Snapshot(Window(0), Dict(pairs), 0))
    held = {key: value for key, value in pairs.items() if keys.contains(key)}
    try:
        among_held = resolve(selector, Snapshot(Window(0), Dict(held), 0, keys))
    except WrongKeyRange:
        pivots = not (keys.begin <= key and (keys.end is None or key < keys.end))
        assert pivots or isinstance(among_all, Edge) or not keys.contains(among_all)
    else:
        assert among_held == among_all


def test_an_unlock_keeps_no_data_that_the_logs_do_not_have() -> None:
    stored = Stored(durable_version=9, locked=True, lock=Lock(1, "r"), key_range=KeyRange(b"b", b"m"))

    def after(version: int, **layout: object) -> tuple[int, bool, bool]:
        raw = {"logs": [], **layout}
        plan = unlocked(stored, version, raw, parse_layout(raw))
        assert not plan.stored.locked
        assert plan.stored.layout == raw
        return plan.stored.durable_version, plan.drop, bool(plan.stored.leftover)

    assert after(9) == (9, False, False)
    assert after(7, last_version=9) == (9, False, False)
    assert after(9, key_range=["c", "d"]) == (9, False, True)
    assert after(7, reset=True) == (0, True, False)
    assert after(9, reset=True, key_range=["", None]) == (0, True, False)
    with pytest.raises(DurableVersionAhead) as ahead:
        after(7, last_version=8)
    assert data_error_from_wire(ahead.value.wire()) == DurableVersionAhead(9, 8)
    with pytest.raises(InvalidCommand, match="wider"):
        after(9, key_range=["a", "m"])


def test_a_copy_that_is_not_whole_begins_anew_when_an_unlock_contradicts_it() -> None:
    stored = Stored(durable_version=5, locked=True, refill=Refill(5, 8, b"k"))
    assert unlocked(stored, 8, {"logs": []}, parse_layout({"logs": []})).stored.refill == Refill(5, 8, b"k")
    for version, raw in ((7, {"logs": []}), (8, {"logs": [], "key_range": ["a", None]})):
        plan = unlocked(stored, version, raw, parse_layout(raw))
        assert plan.drop
        assert (plan.stored.durable_version, plan.stored.refill) == (0, None)


@pytest.mark.parametrize(
    "more", [{"key_range": 1}, {"replicas": "x"}, {"replicas": ["a", "a"]}, {"last_version": -1}, {"last_version": True}, {"reset": 1}]
)
def test_a_layout_that_is_none_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(InvalidCommand):
        parse_layout({"logs": [], **more})


async def test_a_worker_holds_its_range_and_says_so(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "key_range": ["b", "d"], "window_s": 0})
    client = connect(worker)
    log.push(1, [Set(bytes([letter]), b"1") for letter in b"abcde"])
    log.push(2, [ClearRange(b"", b"bb"), Set(b"z", b"2")])
    log.push(3, [Set(b"z", b"3")])
    await wait_for_version(client, 3)
    for _ in range(2):
        assert await client.mget("b", "c") == [None, b"1"]
        assert await ask(client, "RANGE", "b", "d") == [[b"c", b"1"], 0]
        assert await ask(client, "GETKEY", "first_greater_than", "b") == b"c"
        assert (await info_of(worker))["key_ranges"] == [["b", "d"]]
        for words in (
            ["GET", "a"],
            ["GET", "d"],
            ["MGET", "b", "z"],
            ["RANGE", "a", "c"],
            ["RANGE", "b", "e"],
            ["RANGE", "b", "", "END", "LAST"],
            ["GETKEY", "first_greater_than", "c"],
            ["GETKEY", "last_less_than", "b"],
        ):
            assert (await error_of(client, *words)).startswith("WRONGRANGE b d ")
        await until_durable(client, 3)
        assert (await client.info())["keys"] == 1
        worker.kill()
        worker.params["key_range"] = ["a", "b"]  # what holds data knows its range
        worker.start()
        client = connect(worker)


async def info_of(worker: WorkerProcess) -> dict[str, Any]:
    async with StorageClient.connect(worker.endpoint) as storage:
        return await storage.info()


async def wait_for_version(client: "redis.Redis", version: int) -> None:
    await ask(client, "GET", "b", "AT", version, "WAIT", 15_000)


async def test_an_unlock_narrows_the_range_and_drops_the_rest(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0})
    client = connect(worker)
    log.push(1, [Set(bytes([letter]) * size, b"1") for letter in b"abcde" for size in (1, 600)])
    await until_durable(client, 1)
    await ask(client, "LOCK", 1, "r")
    layout = {"logs": {"log_1": f"unix:{log.run}/resp.sock"}, "key_range": ["b", "d"], "epoch": 1}
    await ask(client, "UNLOCK", 1, json.dumps(layout))
    log.push(2, [Set(b"a", b"2"), Set(b"b", b"2")])
    await wait_for_version(client, 2)
    await until_durable(client, 2)
    info = await info_of(worker)
    assert (info["keys"], info["key_ranges"], info["layout"]) == (4, [["b", "d"]], layout)
    assert (await error_of(client, "GET", "a")).startswith("WRONGRANGE b d ")
    await ask(client, "LOCK", 2, "r")
    assert "wider" in await error_of(client, "UNLOCK", 2, json.dumps({**layout, "key_range": ["a", "d"]}))
    await ask(client, "UNLOCK", 2, json.dumps({**layout, "key_range": ["a", "d"], "reset": True}))
    await ask(client, "GET", "a", "AT", 2, "WAIT", 15_000)
    pairs, _ = await ask(client, "RANGE", "a", "d")
    assert pairs[:4] == [b"a", b"2", b"a" * 600, b"1"]


async def test_what_is_durable_beyond_the_logs_is_an_error_and_reset_mends_it(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0})
    client = connect(worker)
    for version in (1, 2, 3):
        log.push(version, [Set(b"%d" % version, b"phantom" if version == 3 else b"v")])
    await until_durable(client, 3)
    await ask(client, "LOCK", 1, "r")
    log.versions.pop()
    log.encoded.pop()
    layout = {"logs": {"log_1": f"unix:{log.run}/resp.sock"}}
    assert (await error_of(client, "UNLOCK", 2, json.dumps(layout))).startswith("DURABLEAHEAD 3 2 ")
    assert (await client.info())["locked"] == 1
    await ask(client, "UNLOCK", 2, json.dumps({**layout, "reset": True}))
    log.push(4, [Set(b"4", b"v")])
    await wait_for(client, 4)
    assert await everything(client) == {b"1": b"v", b"2": b"v", b"4": b"v"}


def test_an_unlock_of_a_director_that_does_not_hold_the_lock_comes_late() -> None:
    stored = Stored(5, locked=True, lock=Lock(5, "r2"))
    late, fitting = ({"logs": [], "epoch": epoch, "recovery_id": recovery_id} for epoch, recovery_id in ((4, "r1"), (5, "r2")))
    with pytest.raises(NewerLockExists):
        unlocked(stored, 5, late, parse_layout(late))
    free = unlocked(stored, 5, fitting, parse_layout(fitting)).stored
    assert not free.locked
    assert locked_by(stored, Lock(5, "r2")) == stored
    assert locked_by(free, Lock(5, "r2")) is None, "a lock whose recovery is over comes late"
