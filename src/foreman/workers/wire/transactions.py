"""A transaction on the wire and in the log: a MessagePack array of ``[0, key, value]``, ``[1, key]`` and ``[2, begin, end]``.

Pure. Strict in what it accepts (data-plane.md): binary strings only, nothing after the array, every size within its limit. The log
checks each transaction once, when it is pushed; whoever reads it from a log may trust it.
"""

from collections.abc import Sequence
from typing import Annotated, Final, assert_never

import msgspec

from foreman.core.data_errors import InvalidCommand, TooLarge
from foreman.core.mutations import MAX_KEY_BYTES, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, Clear, ClearRange, Mutation, Set

_Key = Annotated[bytes, msgspec.Meta(max_length=MAX_KEY_BYTES)]
_Value = Annotated[bytes, msgspec.Meta(max_length=MAX_VALUE_BYTES)]


class WireSet(msgspec.Struct, array_like=True, tag=0, forbid_unknown_fields=True, frozen=True, gc=False):
    key: _Key
    value: _Value


class WireClear(msgspec.Struct, array_like=True, tag=1, forbid_unknown_fields=True, frozen=True, gc=False):
    key: _Key


class WireClearRange(msgspec.Struct, array_like=True, tag=2, forbid_unknown_fields=True, frozen=True, gc=False):
    begin: _Key
    end: _Key


WireMutation = WireSet | WireClear | WireClearRange

_CHECKED: Final = msgspec.msgpack.Decoder(list[WireMutation])
_LOOSE: Final = msgspec.msgpack.Decoder(list[list[int | bytes]])
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode_transaction(mutations: Sequence[Mutation]) -> bytes:
    """Raises TooLarge when a key, a value or the whole is beyond its limit."""
    encoded = _ENCODER.encode([_plain(mutation) for mutation in mutations])
    check_transaction(encoded)
    return encoded


def check_transaction(encoded: bytes) -> None:
    """Raises TooLarge(what, size, limit), or InvalidCommand when it is no transaction."""
    if len(encoded) > MAX_TRANSACTION_BYTES:
        raise TooLarge("transaction", len(encoded), MAX_TRANSACTION_BYTES)
    try:
        _CHECKED.decode(encoded)  # as decode_wire, without its call: this is on the way of every push
    except (msgspec.DecodeError, RecursionError):
        decode_wire(encoded)


def decode_transaction(encoded: bytes) -> list[Mutation]:
    """Raises as :func:`check_transaction`."""
    return [_mutation(wire) for wire in decode_wire(encoded)]


def decode_wire(encoded: bytes) -> list[WireMutation]:
    """The mutations as the decoder makes them: same attributes as those of core, at a third of the cost. Raises as check_transaction."""
    if len(encoded) > MAX_TRANSACTION_BYTES:
        raise TooLarge("transaction", len(encoded), MAX_TRANSACTION_BYTES)
    try:
        return _CHECKED.decode(encoded)
    except (msgspec.DecodeError, RecursionError) as error:
        _raise_too_large(encoded)
        raise InvalidCommand(f"not a transaction: {error}") from None


def _raise_too_large(encoded: bytes) -> None:
    """Find the key or value that is over its limit, if that is what was wrong."""
    try:
        loose = _LOOSE.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return
    for kind, *parts in loose:
        for position, part in enumerate(parts):
            what, limit = ("value", MAX_VALUE_BYTES) if kind == 0 and position == 1 else ("key", MAX_KEY_BYTES)
            if isinstance(part, bytes) and len(part) > limit:
                raise TooLarge(what, len(part), limit)


def _plain(mutation: Mutation) -> tuple[int, bytes] | tuple[int, bytes, bytes]:
    match mutation:
        case Set(key, value):
            return 0, key, value
        case Clear(key):
            return 1, key
        case ClearRange(begin, end):
            return 2, begin, end
        case _:
            assert_never(mutation)


def _mutation(wire: WireMutation) -> Mutation:
    match wire:
        case WireSet():
            return Set(wire.key, wire.value)
        case WireClear():
            return Clear(wire.key)
        case WireClearRange():
            return ClearRange(wire.begin, wire.end)
        case _:
            assert_never(wire)
