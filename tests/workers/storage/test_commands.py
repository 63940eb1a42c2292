"""Words into commands, and everything else into a clear error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.data_errors import DataPlaneError, InvalidCommand, TooLarge
from foreman.workers.storage.commands import At, Get, GetKey, GetMany, GetRange, Info, LockFor, Unlock, parse_command
from foreman.workers.storage.selectors import KeySelector, SelectorName

OPTIONS = (b"AT", b"at", b"LIMIT", b"REV", b"WAIT", b"BEGIN", b"END", b"LAST", b"OFFSET", b"BYTES", b"5", b"-5", b"18446744073709551616")
WORDS = st.lists(
    st.one_of(st.sampled_from(OPTIONS), st.sampled_from(list(SelectorName)).map(str.encode), st.binary(max_size=6)), max_size=9
)
NAMES = st.sampled_from([b"GET", b"mget", b"RANGE", b"GETKEY", b"LOCK", b"UNLOCK", b"INFO", b"SET"])


@given(NAMES, WORDS)
def test_any_words_are_a_command_or_a_data_plane_error(name: bytes, words: list[bytes]) -> None:
    try:
        command = parse_command([name, *words])
    except DataPlaneError:
        return
    assert (command is None) == (name == b"SET")


def words(text: str) -> list[bytes]:
    return [word.encode() for word in text.split(" ")]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("GET k", Get(b"k", At())),
        ("get k at 5 wait 20", Get(b"k", At(5, 0.02))),
        ("MGET a b AT 7", GetMany((b"a", b"b"), At(7))),
        ("MGET AT 7", GetMany((b"AT", b"7"), At())),
        ("RANGE a b", GetRange(b"a", b"b", At(), 1000, 1 << 20, reverse=False)),
        ("RANGE a b REV LIMIT 3 AT 1 BYTES 9", GetRange(b"a", b"b", At(1), 3, 9, reverse=True)),
        ("RANGE a b END LAST", GetRange(b"a", None, At(), 1000, 1 << 20, reverse=False)),
        (
            "RANGE a b BEGIN first_greater_than 2 END last_less_than LIMIT 4",
            GetRange(
                KeySelector(SelectorName.FIRST_GREATER_THAN, b"a", 2),
                KeySelector(SelectorName.LAST_LESS_THAN, b"b"),
                At(),
                4,
                1 << 20,
                reverse=False,
            ),
        ),
        ("GETKEY last_less_or_equal k OFFSET -3", GetKey(KeySelector(SelectorName.LAST_LESS_OR_EQUAL, b"k", -3), At())),
        ("LOCK 3 abc", LockFor(3, "abc")),
        ('UNLOCK 9 {"logs":["log_1"]}', Unlock(9, {"logs": ["log_1"]})),
        ("INFO keys lag", Info(("keys", "lag"))),
    ],
)
def test_commands(text: str, command: object) -> None:
    assert parse_command(words(text)) == command


@pytest.mark.parametrize(
    "text",
    [
        "GET k AT",
        "GET k AT -1",
        "GET k AT 18446744073709551616",
        "GET k AT x",
        "GET k NX",
        "GET k WAIT 999999999",
        "RANGE a",
        "RANGE a b LIMIT 0",
        "RANGE a b LIMIT 1 LIMIT 2",
        "RANGE a b BEGIN nearest",
        "GETKEY nearest k",
        "GETKEY last_less_than k OFFSET 100001",
        "LOCK 1",
        "LOCK one x",
        "UNLOCK 1 {",
        "UNLOCK 1 []",
        'UNLOCK 1 {"logs":3}',
        'UNLOCK 1 {"logs":["a","a"]}',
    ],
)
def test_wrong_words_are_invalid_commands(text: str) -> None:
    with pytest.raises(InvalidCommand):
        parse_command(words(text))


def test_a_key_over_ten_thousand_bytes_is_too_large_but_a_bound_may_be_one_longer() -> None:
    with pytest.raises(TooLarge):
        parse_command([b"GET", b"k" * 10_001])
    assert parse_command([b"RANGE", b"", b"\xff" * 10_001]) is not None
    with pytest.raises(TooLarge):
        parse_command([b"RANGE", b"", b"\xff" * 10_002])
