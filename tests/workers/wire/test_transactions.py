"""A transaction on the wire is read back as it was, or refused for a reason that can be acted upon."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.data_errors import InvalidCommand, TooLarge
from foreman.core.mutations import MAX_KEY_BYTES, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, Clear, ClearRange, Mutation, Set
from foreman.workers.wire.transactions import check_transaction, decode_transaction, encode_transaction

blobs = st.binary(max_size=50)
mutations: st.SearchStrategy[list[Mutation]] = st.lists(
    st.builds(Set, blobs, blobs) | st.builds(Clear, blobs) | st.builds(ClearRange, blobs, blobs), max_size=20
)


@given(mutations)
def test_is_read_back_as_it_was(transaction: list[Mutation]) -> None:
    assert decode_transaction(encode_transaction(transaction)) == transaction


@given(st.binary(max_size=200))
def test_any_bytes_are_a_transaction_or_a_clear_error(data: bytes) -> None:
    try:
        decoded = decode_transaction(data)
    except (InvalidCommand, TooLarge):
        return
    assert decode_transaction(encode_transaction(decoded)) == decoded


@pytest.mark.parametrize(
    ("transaction", "what"),
    [
        ([Set(b"k" * (MAX_KEY_BYTES + 1), b"")], "key"),
        ([Clear(b"k" * (MAX_KEY_BYTES + 1))], "key"),
        ([ClearRange(b"", b"k" * (MAX_KEY_BYTES + 1))], "key"),
        ([Set(b"k", b"v" * (MAX_VALUE_BYTES + 1))], "value"),
        ([Set(b"k%d" % number, b"v" * MAX_VALUE_BYTES) for number in range(101)], "transaction"),
    ],
)
def test_tells_what_is_too_large(transaction: list[Mutation], what: str) -> None:
    with pytest.raises(TooLarge) as caught:
        encode_transaction(transaction)
    assert caught.value.what == what


def test_takes_what_just_fits() -> None:
    encode_transaction([Set(b"k" * MAX_KEY_BYTES, b"v" * MAX_VALUE_BYTES)])
    assert MAX_TRANSACTION_BYTES > 99 * MAX_VALUE_BYTES
    encode_transaction([Set(b"k", b"v" * MAX_VALUE_BYTES)] * 99)


@pytest.mark.parametrize(
    "wrong",
    [
        [[0, b"k"]],
        [[0, b"k", b"v", b"more"]],
        [[1]],
        [[3, b"k"]],
        [[0, "text", b"v"]],
        [0, b"k", b"v"],
        {"a": 1},
        None,
    ],
)
def test_refuses_what_has_another_form(wrong: object) -> None:
    with pytest.raises(InvalidCommand):
        check_transaction(msgspec.msgpack.encode(wrong))


def test_refuses_bytes_after_the_end_and_deep_nesting() -> None:
    with pytest.raises(InvalidCommand):
        check_transaction(encode_transaction([Clear(b"k")]) + b"\x00")
    with pytest.raises(InvalidCommand):
        check_transaction(b"\x91" * 100_000)
