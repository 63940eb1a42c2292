"""The arithmetic of a recovery, against what really was acknowledged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.control.versions import (
    TooFewLogs,
    VersionVector,
    majority,
    plan_vector,
    quorum_durable,
    read_quorum,
    replay_first,
)

versions = st.integers(0, 50)


@given(st.integers(1, 9), st.data())
def test_a_read_quorum_meets_every_write_quorum_and_one_less_need_not(logs: int, data: st.DataObject) -> None:
    acknowledging = data.draw(st.integers(1, logs))
    needed = read_quorum(logs, acknowledging)
    wrote = set(data.draw(st.permutations(range(logs)))[:acknowledging])
    read = set(data.draw(st.permutations(range(logs)))[:needed])
    assert wrote & read
    missed = set(range(logs)) - wrote  # the worst choice of readers
    assert len(missed) == needed - 1


@pytest.mark.parametrize(("logs", "acknowledging"), [(3, 0), (3, 4), (0, 0)])
def test_a_quorum_that_cannot_be_is_refused(logs: int, acknowledging: int) -> None:
    with pytest.raises(ValueError, match="cannot acknowledge"):
        read_quorum(logs, acknowledging)


@given(st.lists(versions, min_size=1, max_size=5), st.data())
def test_whatever_every_log_has_is_kept_by_any_logs_that_are_found(lasts: list[int], data: st.DataObject) -> None:
    acknowledged = min(lasts)
    found = data.draw(st.lists(st.sampled_from(lasts), min_size=1, max_size=len(lasts)))
    planned = plan_vector([VersionVector(0, last) for last in found], len(lasts))
    assert isinstance(planned, VersionVector)
    assert acknowledged <= planned.last <= max(lasts)


def test_no_log_at_all_is_too_few() -> None:
    assert plan_vector([], 3) == TooFewLogs(0, 1)


@given(st.lists(st.tuples(versions, versions), min_size=1, max_size=5))
def test_the_vector_is_that_of_a_real_log(bounds: list[tuple[int, int]]) -> None:
    logs = [VersionVector(min(pair), max(pair)) for pair in bounds]
    planned = plan_vector(logs, len(logs))
    assert planned in logs


@given(st.lists(versions, min_size=1, max_size=7))
def test_a_majority_has_what_is_quorum_durable(durables: list[int]) -> None:
    durable = quorum_durable(durables, len(durables))
    assert sum(each >= durable for each in durables) >= majority(len(durables))
    assert sum(each > durable for each in durables) < majority(len(durables))


@given(st.lists(st.lists(versions, max_size=4), max_size=4), st.tuples(versions, versions), st.integers(1, 4))
def test_the_replay_begins_inside_the_logs_and_leaves_out_nobody_of_the_quorum(
    drawn: list[list[int]], bounds: tuple[int, int], replicas: int
) -> None:
    vector = VersionVector(min(bounds), max(bounds))
    teams = [[min(durable, vector.last) for durable in team] for team in drawn]
    first = replay_first(teams, replicas, vector)
    assert vector.oldest <= first <= vector.last
    assert vector.covers(first, vector.last)
    for team in teams:
        if team and quorum_durable(team, replicas) >= vector.oldest:
            assert first <= quorum_durable(team, replicas), "a quorum of each team can go on from there"


def test_a_straggler_at_most_doubles_what_is_replayed() -> None:
    vector = VersionVector(0, 100)
    assert replay_first([[90, 90, 85]], 3, vector) == 85
    assert replay_first([[90, 90, 10]], 3, vector) == 90
