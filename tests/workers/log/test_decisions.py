"""The decisions of a log, apart from files and sockets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.data_errors import (
    InvalidCommand,
    Locked,
    NewerEpochExists,
    NewerLockExists,
    NotLocked,
    NotReady,
    TooManyParked,
    VersionTooNew,
    VersionTooOld,
)
from foreman.workers.log.commands import parse_pull, parse_recover
from foreman.workers.log.locking import locked_by, unlocked
from foreman.workers.log.params import check_params, parse_params
from foreman.workers.log.parking import ParkedPush, Parking
from foreman.workers.log.pulling import Answer, Pull, check_mode, judge_pull
from foreman.workers.log.pushing import Verdict, check_writer, judge_push
from foreman.workers.log.recovering import AlreadyDone, BeginAnew, GoOn, plan_recovery
from foreman.workers.log.recycling import Subscribers, count_unneeded
from foreman.workers.log.standing import Lock, Recovery, Standing, UnreadableStanding, decode_standing

LOCKED = Standing(epoch=5, lock=Lock(5, "r", held=True))


def test_a_push_goes_where_its_predecessor_says() -> None:
    assert judge_push(10, 12, 10) is Verdict.APPEND
    assert judge_push(10, 15, 12) is Verdict.PARK
    assert judge_push(10, 9, 8) is Verdict.COMPARE
    with pytest.raises(InvalidCommand):
        judge_push(10, 10, 10)


def test_a_locked_log_and_a_newer_epoch_take_no_push() -> None:
    with pytest.raises(Locked):
        check_writer(LOCKED, 9)
    with pytest.raises(NewerEpochExists):
        check_writer(unlocked(LOCKED), 4)
    check_writer(unlocked(LOCKED), 5)


def test_the_newer_recovery_locks_and_the_older_is_refused() -> None:
    assert locked_by(LOCKED, 6, "s").lock == Lock(6, "s", held=True)
    assert locked_by(LOCKED, 5, "r") == LOCKED
    for generation, recovery_id in [(4, "r"), (5, "other")]:
        with pytest.raises(NewerLockExists):
            locked_by(LOCKED, generation, recovery_id)
    with pytest.raises(NewerLockExists):
        locked_by(Standing(epoch=7), 6, "r")
    with pytest.raises(NewerLockExists):
        locked_by(unlocked(LOCKED), 5, "r")  # spent: it comes late


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab")), max_size=12))
def test_the_generation_that_holds_never_falls(locks: list[tuple[int, str]]) -> None:
    standing, held = Standing(), -1
    for generation, recovery_id in locks:
        try:
            standing = locked_by(standing, generation, recovery_id)
        except NewerLockExists:
            continue
        assert generation >= held
        held = generation
        assert decode_standing(standing.encode()) == standing


@given(st.binary(max_size=60))
def test_a_standing_that_cannot_be_read_is_never_guessed(data: bytes) -> None:
    with pytest.raises(UnreadableStanding):
        decode_standing(data)


def test_a_pull_waits_only_when_waiting_can_help() -> None:
    assert judge_pull(Pull(3, 1), 0, 5, time_left=False) is Answer.SOME
    assert judge_pull(Pull(5, 1), 0, 5, time_left=False) is Answer.NONE
    assert judge_pull(Pull(5, 1), 0, 5, time_left=True) is Answer.WAIT
    assert judge_pull(Pull(5, 1, through=5), 0, 5, time_left=True) is Answer.NONE
    assert judge_pull(Pull(7, 1), 0, 5, time_left=True) is Answer.WAIT
    with pytest.raises(VersionTooNew):
        judge_pull(Pull(7, 1), 0, 5, time_left=False)
    with pytest.raises(VersionTooOld):
        judge_pull(Pull(1, 1), 2, 5, time_left=True)
    with pytest.raises(VersionTooNew):
        judge_pull(Pull(1, 1, through=9, recovery=True), 0, 5, time_left=True)


def test_recovery_pulls_are_for_locked_logs_and_others_for_unlocked_ones() -> None:
    check_mode(Pull(0, 1, recovery=True), locked=True, recovering=False)
    check_mode(Pull(0, 1), locked=False, recovering=False)
    for pull, locked, recovering in [(Pull(0, 1), True, False), (Pull(0, 1), False, True)]:
        with pytest.raises(NotReady):
            check_mode(pull, locked=locked, recovering=recovering)
    with pytest.raises(NotLocked):
        check_mode(Pull(0, 1, recovery=True), locked=False, recovering=False)


def test_a_recovery_goes_on_where_it_was_and_is_done_once() -> None:
    wanted = Recovery(10, 20)
    begun = plan_recovery(LOCKED, wanted, has_source=True, oldest=0, last=7)
    assert isinstance(begun, BeginAnew)
    assert plan_recovery(begun.standing, wanted, has_source=True, oldest=10, last=15) == GoOn(15)
    assert plan_recovery(unlocked(begun.standing), wanted, has_source=True, oldest=10, last=20) == AlreadyDone()
    assert isinstance(plan_recovery(begun.standing, Recovery(10, 21), has_source=True, oldest=10, last=15), BeginAnew)
    with pytest.raises(NotLocked):
        plan_recovery(Standing(), wanted, has_source=True, oldest=0, last=0)
    for recovery, has_source in [(Recovery(3, 2), True), (Recovery(1, 2), False)]:
        with pytest.raises(InvalidCommand):
            plan_recovery(LOCKED, recovery, has_source=has_source, oldest=0, last=0)


def test_segments_go_only_when_every_subscriber_has_them() -> None:
    subscribers = Subscribers({})
    assert count_unneeded([10, 20], subscribers.minimum()) == 0
    subscribers.hear("a", 25)
    subscribers.hear("b", 10)
    assert count_unneeded([10, 20], subscribers.minimum()) == 1
    subscribers.hear("b", 30)
    assert count_unneeded([10, 20], subscribers.minimum()) == 2
    subscribers.hear("b", 0)
    assert count_unneeded([10, 20], subscribers.minimum()) == 0


def test_only_somebody_new_or_fallen_back_must_be_written_down_at_once() -> None:
    subscribers = Subscribers({"a": 5})
    seen = []
    for name, version in [("a", 9), ("b", 3), ("b", 4), ("b", 1)]:
        subscribers.hear(name, version)
        seen.append(subscribers.unsaved)
        subscribers.encode()
    assert seen == [False, True, False, True]


@given(st.permutations(list(range(8))), st.sets(st.integers(0, 7)))
def test_parked_pushes_come_out_in_order_whatever_order_they_came_in(order: list[int], gone: set[int]) -> None:
    parking: Parking[None] = Parking(100, 10_000)
    pushes = {number: ParkedPush(0, number + 1, number, b"x" * number, None) for number in order}
    for number in order:
        parking.park(pushes[number])
    for number in gone:
        parking.forget(pushes[number])
    seen = []
    while (push := parking.ready(100)) is not None:
        seen.append(push.previous)
    assert seen == [number for number in range(8) if number not in gone]
    assert (parking.count, parking.size_bytes) == (0, 0)


def test_parking_is_bounded_by_number_and_bytes() -> None:
    parking: Parking[None] = Parking(2, 10)
    parking.park(ParkedPush(0, 5, 4, b"12345", None))
    with pytest.raises(TooManyParked):
        parking.park(ParkedPush(0, 6, 5, b"123456", None))
    parking.park(ParkedPush(0, 6, 5, b"", None))
    with pytest.raises(TooManyParked):
        parking.park(ParkedPush(0, 7, 6, b"", None))


@pytest.mark.parametrize(
    "words",
    [
        b"PULL x",
        b"PULL -1",
        b"PULL 18446744073709551616",
        b"PULL 1 LIMIT",
        b"PULL 1 LIMIT 9999999",
        b"PULL 1 BLOCK 99999999",
        b"PULL 1 SUBSCRIBER a",
        b"PULL 1 SUBSCRIBER \xff 1",
        b"PULL 1 NONSENSE",
    ],
)
def test_a_wrong_pull_is_an_error(words: bytes) -> None:
    with pytest.raises(InvalidCommand):
        parse_pull(words.split(b" "))


def test_the_options_of_a_pull_come_in_any_order() -> None:
    command = parse_pull(b"PULL 7 block 50 SUBSCRIBER s 3 recovery LAST 9 LIMIT 2".split(b" "))
    assert command.pull == Pull(7, 2, 9, recovery=True, block_ms=50)
    assert command.subscriber == ("s", 3)
    assert parse_recover(b"RECOVER FROM none 0 0".split(b" ")).source is None


@pytest.mark.parametrize(
    "params",
    [
        {"segment_bytes": 1},
        {"segment_bytes": True},
        {"x": 1},
        {"listen": "0.0.0.0:1"},
        {"tls": {}},
        {"max_parked": "9"},
        {"listen": "h:99999"},
    ],
)
def test_wrong_params_are_told(params: dict[str, object]) -> None:
    assert check_params(params)


def test_good_params_are_taken() -> None:
    assert parse_params({"max_parked": 3, "listen": "127.0.0.1:0", "auth_file": "/x"}).max_parked == 3
