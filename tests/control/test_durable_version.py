"""Where the new logs begin: not after what somebody has, for each key; whatever ranges the workers hold by now."""

from hypothesis import given
from hypothesis import strategies as st

from foreman.control.holders import pieces
from foreman.control.recovery.durable_version import Unheld, first_version
from foreman.control.versions import VersionVector, quorum_durable
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange
from tests.control.test_teams import PIECES, ranges

LAST = 50
found = st.lists(st.tuples(ranges(), st.integers(0, LAST)), max_size=8)


@given(found, st.integers(0, LAST), st.integers(1, 4))
def test_for_every_key_somebody_is_as_far_as_the_logs_go_back(held: list[tuple[KeyRange, int]], oldest: int, replicas: int) -> None:
    first = first_version(held, replicas, VersionVector(oldest, LAST))
    for keys in PIECES:
        durables = [durable for each, durable in held if each.covers(keys.begin, keys.end)]
        if isinstance(first, Unheld):
            assert oldest > 0
            if keys.begin == first.begin:
                assert not any(durable >= oldest for durable in durables), "it could have been kept"
        elif first > 0:
            assert any(durable >= first for durable in durables)
            assert oldest <= first
            quorum = quorum_durable(durables, replicas)
            assert quorum < oldest or first <= quorum, "a quorum can go on from there"


def test_a_recovery_that_narrowed_some_and_was_never_published_is_counted_by_what_it_left() -> None:
    """By the layout all four hold all keys; counted so, the logs would begin where nobody has the right half."""
    left, right = KeyRange(b"", b"m"), KeyRange(b"m")
    held = [(left, 90), (left, 95), (right, 70), (right, 70)]
    assert first_version(held, 2, VersionVector(10, 95)) == 70


def test_when_nobody_is_left_for_some_keys_the_logs_give_all_or_it_is_said() -> None:
    held = [(KeyRange(b"", b"m"), 90)]
    assert first_version(held, 1, VersionVector(0, 95)) == 0
    assert first_version(held, 1, VersionVector(1, 95)) == Unheld(b"m")
    assert pieces(ALL_KEYS, []) == [ALL_KEYS]
