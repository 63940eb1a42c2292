"""Keys longer than LMDB takes, in order, against a plain dictionary."""

import tempfile
from collections.abc import Iterator

import lmdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foreman.core.mutations import MAX_KEY_BYTES
from foreman.workers.storage.long_keys import CHUNK, KeyTree

LENGTHS = st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 1600, MAX_KEY_BYTES])
TAILS = st.sampled_from([b"", b"\x00", b"a", b"ab", b"b", b"\xff", b"\xff\xff"])
FILLS = st.sampled_from([b"a", b"b", b"\x00", b"\xff"])
KEYS = st.builds(lambda length, fill, tail: ((fill * length)[: max(0, length - len(tail))] + tail)[:MAX_KEY_BYTES], LENGTHS, FILLS, TAILS)


class KeyTreeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.env = lmdb.open(self.directory.name, 64 << 20, max_dbs=1, sync=False)
        self.db = self.env.open_db(b"data")
        self.txn = self.env.begin(write=True)
        self.tree = KeyTree(self.txn, self.db)
        self.model: dict[bytes, bytes] = {}

    def teardown(self) -> None:
        self.txn.abort()
        self.env.close()
        self.directory.cleanup()

    @rule(key=KEYS, value=st.binary(max_size=9))
    def put(self, key: bytes, value: bytes) -> None:
        self.tree.put(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.tree.delete(key)
        self.model.pop(key, None)

    @rule(begin=KEYS, end=KEYS)
    def clear(self, begin: bytes, end: bytes) -> None:
        self.tree.clear(begin, end)
        self.model = {key: value for key, value in self.model.items() if not begin <= key < end}

    @rule(begin=KEYS, end=st.none() | KEYS, reverse=st.booleans())
    def scan(self, *, begin: bytes, end: bytes | None, reverse: bool) -> None:
        inside = sorted((k, v) for k, v in self.model.items() if k >= begin and (end is None or k < end))
        assert list(self.tree.scan(begin, end, reverse=reverse)) == (inside[::-1] if reverse else inside)

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.tree.get(key) == self.model.get(key)

    @invariant()
    def entries_are_the_keys_and_the_nodes(self) -> None:
        assert self.txn.stat(self.db)["entries"] - self.tree.nodes == len(self.model)
        needed = {key[: CHUNK * level] for key in self.model for level in range(1, len(key) // CHUNK + 1)}
        assert self.tree.nodes == len(needed)


TestKeyTree = KeyTreeMachine.TestCase
TestKeyTree.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@pytest.fixture
def tree() -> Iterator[KeyTree]:
    with tempfile.TemporaryDirectory() as directory, lmdb.open(directory, 64 << 20, max_dbs=1, sync=False) as env:
        db = env.open_db(b"data")
        with env.begin(write=True) as txn:
            yield KeyTree(txn, db)


def test_many_keys_that_differ_only_after_ten_thousand_bytes(tree: KeyTree) -> None:
    keys = [b"k" * (MAX_KEY_BYTES - 4) + b"%04d" % number for number in range(500)]
    for key in reversed(keys):
        tree.put(key, key[-4:])
    assert list(tree.scan(b"", None, reverse=False)) == [(key, key[-4:]) for key in keys]
    assert [key for key, _ in tree.scan(keys[100], keys[103], reverse=True)] == [keys[102], keys[101], keys[100]]
    tree.clear(keys[0], keys[-1])
    assert [key for key, _ in tree.scan(b"", None, reverse=False)] == keys[-1:]
    tree.delete(keys[-1])
    assert tree.nodes == 0
