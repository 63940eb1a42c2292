"""The pure parts under the machine: health, restart policy, kinds and their order, ids, errors, the lifecycle table."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.data_errors import DataPlaneError, InvalidCommand, data_error_from_wire
from foreman.core.error_base import error_from_facts
from foreman.core.errors import ForemanError, InvalidConfiguration, InvalidParams, InvalidWorkerId, UnknownKind
from foreman.core.health import Health, HealthStatus, aggregate
from foreman.core.ids import parse_worker_id
from foreman.core.kinds import CommandProgram, Kinds, KindSpec, PythonProgram, RestartType, check_command_params, fill
from foreman.core.lifecycle import HAS_PROCESS, TABLE, Move, State, row
from foreman.core.restarting import Ending, Finish, GiveUp, RestartHistory, RestartPolicy, StartAgain, after_ending, nominal_delay_s

healths = st.sampled_from(
    [Health.ok(), Health.starting(), Health.unknown(), Health.stopped(), Health.error("x"), Health.failed_to_start("y")]
)


@given(st.lists(healths), st.randoms())
def test_the_aggregate_does_not_depend_on_the_order(found: list[Health], chance: Any) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert aggregate(found) == aggregate(shuffled)


@given(st.lists(healths))
def test_the_aggregate_is_the_worst_and_stopped_does_not_count(found: list[Health]) -> None:
    status = aggregate(found).status
    counted = {health.status for health in found} - {HealthStatus.STOPPED}
    order = [HealthStatus.FAILED_TO_START, HealthStatus.ERROR, HealthStatus.UNKNOWN, HealthStatus.STARTING, HealthStatus.OK]
    assert status == next((worst for worst in order if worst in counted), HealthStatus.OK)


def test_no_worker_is_ok() -> None:
    assert aggregate([]) == Health.ok()


@pytest.mark.parametrize("text", ["", ".", "..", "../evil", "a/b", "A", "a" * 64, "a\0", "é", "-a", "_a", "a b", "a\n", None, 7, b"a"])
def test_a_hostile_id_is_refused(text: object) -> None:
    with pytest.raises(InvalidWorkerId):
        parse_worker_id(text)


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True))
def test_a_good_id_is_itself(text: str) -> None:
    assert parse_worker_id(text) == text


# --- restart policy ---

POLICY = RestartPolicy()
policies = st.builds(
    RestartPolicy,
    backoff_base_s=st.floats(0.001, 1),
    backoff_cap_s=st.floats(1, 100),
    jitter=st.floats(0, 1),
    max_restarts=st.integers(1, 20),
    window_s=st.floats(1, 100),
)


def test_the_first_restart_is_immediate_then_the_delays_double_up_to_the_cap() -> None:
    assert [nominal_delay_s(POLICY, n) for n in range(5)] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert nominal_delay_s(POLICY, 1000) == POLICY.backoff_cap_s


@given(policies, st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_delay_stays_within_its_jitter(policy: RestartPolicy, in_a_row: int, chance: float) -> None:
    verdict = after_ending(RestartType.PERMANENT, policy, RestartHistory((), in_a_row), Ending(False, None, "x"), 0.0, chance)
    assert isinstance(verdict, StartAgain)
    nominal = nominal_delay_s(policy, in_a_row)
    assert nominal * (1 - policy.jitter) - 1e-9 <= verdict.delay_s <= nominal


@given(policies)
def test_too_many_restarts_in_the_window_are_given_up_and_never_more_are_remembered(policy: RestartPolicy) -> None:
    history, now = RestartHistory(), 0.0
    for _ in range(policy.max_restarts):
        verdict = after_ending(RestartType.PERMANENT, policy, history, Ending(False, None, "x"), now, 0.5)
        assert isinstance(verdict, StartAgain)
        history = verdict.history
        assert len(history.restarts) <= policy.max_restarts
    assert isinstance(after_ending(RestartType.PERMANENT, policy, history, Ending(False, None, "x"), now, 0.5), GiveUp)
    later = after_ending(RestartType.PERMANENT, policy, history, Ending(False, None, "x"), now + policy.window_s, 0.5)
    assert isinstance(later, StartAgain)


def test_a_stable_run_forgives() -> None:
    history = RestartHistory((0.0, 1.0), 7)
    stable = after_ending(RestartType.PERMANENT, POLICY, history, Ending(False, POLICY.stable_after_s, "x"), 20.0, 0.0)
    shaky = after_ending(RestartType.PERMANENT, POLICY, history, Ending(False, 0.1, "x"), 20.0, 0.0)
    assert isinstance(stable, StartAgain)
    assert stable.delay_s == 0
    assert isinstance(shaky, StartAgain)
    assert shaky.delay_s > 1


@pytest.mark.parametrize(
    ("kind", "normal", "ran_s", "expected"),
    [
        (RestartType.PERMANENT, True, 1.0, StartAgain),
        (RestartType.PERMANENT, False, 1.0, StartAgain),
        (RestartType.TRANSIENT, True, 1.0, Finish),
        (RestartType.TRANSIENT, True, None, StartAgain),  # it ended before it was ready: that is no normal end
        (RestartType.TRANSIENT, False, 1.0, StartAgain),
        (RestartType.TEMPORARY, True, 1.0, Finish),
        (RestartType.TEMPORARY, False, 1.0, GiveUp),
        (RestartType.TEMPORARY, False, None, GiveUp),
    ],
)
def test_restart_types(kind: RestartType, *, normal: bool, ran_s: float | None, expected: type) -> None:
    assert isinstance(after_ending(kind, POLICY, RestartHistory(), Ending(normal, ran_s, "x"), 0.0, 0.0), expected)


# --- kinds ---


def kind(name: str, *after: str) -> KindSpec:
    return KindSpec(name, PythonProgram(f"m:{name}"), after=after)


def test_kinds_have_an_order() -> None:
    kinds = Kinds([kind("log"), kind("storage", "log"), kind("proxy", "storage"), kind("redis")])
    assert [kinds.rank(name) for name in ("log", "storage", "proxy", "redis")] == [0, 1, 2, 0]
    assert kinds.before("proxy") == {"storage", "log"}


@pytest.mark.parametrize("specs", [[kind("a", "b"), kind("b", "a")], [kind("a", "nobody")], [kind("a"), kind("a")], [kind("a", "a")]])
def test_kinds_that_make_no_sense_are_refused(specs: list[KindSpec]) -> None:
    with pytest.raises(InvalidConfiguration):
        Kinds(specs)


def test_an_unknown_kind_names_the_known_and_params_are_checked() -> None:
    kinds = Kinds([kind("log")])
    with pytest.raises(UnknownKind) as unknown:
        kinds.check("bogus", {})
    assert unknown.value.known == ("log",)
    for params in ({"x": 1}, ["x"], {1: 2}):
        with pytest.raises(InvalidParams):
            kinds.check("log", params)


def test_placeholders_are_filled_once_and_params_are_exact() -> None:
    argv = ("redis-server", "--dir", "{data}", "--port", "{params.port}", "{unknown}")
    check = check_command_params(argv)
    assert all(check(wrong) for wrong in ({}, {"port": 1, "more": 2}, {"port": [1]}, {"port": "a\0"}))
    assert check({"port": "{data}"}) == []
    assert fill(argv, {"data": "/d"}, {"port": "{data}"}) == ("redis-server", "--dir", "/d", "--port", "{data}", "{unknown}")
    assert CommandProgram(argv).argv == argv


# --- errors ---


def every_error(root: type[ForemanError] = ForemanError) -> list[type[ForemanError]]:
    """Of the core's own: what other tests have imported meanwhile must not matter."""
    children = [child for child in root.__subclasses__() if child.__module__.startswith("foreman.core.")]
    return [root, *(found for child in children for found in every_error(child))]


def example(error: type[ForemanError]) -> ForemanError:
    values: dict[str, Any] = {
        "errno": 5, "free": 1, "needed": 2, "timeout": 1.5, "status": 403, "expected": 4, "epoch": 5, "generation": 1, "oldest": 1,
        "durable_version": 7, "last_version": 6,
        "newest": 2, "size": 3, "limit": 4, "workers": {"a": "starting"}, "failures": {"a": "b"}, "problems": ("p",), "known": ("log",),
    }  # fmt: skip
    return error(*(values.get(name, name) for name in error.fields))


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_every_error_travels_whole_and_says_a_sentence(error: type[ForemanError]) -> None:
    before = example(error)
    assert error_from_facts(before.code, str(before), before.facts()) == before
    if error.fields:
        assert pickle.loads(pickle.dumps(before)) == before
        assert before != example(InvalidWorkerId) or error is InvalidWorkerId
    assert "\n" not in str(before)


def test_codes_are_unique() -> None:
    codes = [error.code for error in every_error()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", [e for e in every_error(DataPlaneError) if e is not DataPlaneError], ids=lambda error: error.__name__)
def test_every_data_error_travels_over_resp(error: type[DataPlaneError]) -> None:
    before = example(error)
    assert isinstance(before, DataPlaneError)
    assert data_error_from_wire(before.wire()) == before


@given(st.text())
def test_any_error_line_is_some_error(line: str) -> None:
    assert isinstance(data_error_from_wire(line), DataPlaneError)
    assert isinstance(data_error_from_wire("VERSIONTOOOLD x"), InvalidCommand)


# --- the table ---


def test_each_move_from_a_state_has_one_row() -> None:
    keys = [(r.source, r.move) for r in TABLE]
    assert len(keys) == len(set(keys))


def test_the_table_has_no_holes() -> None:
    """Every state can be reached and left; every move is used; a process may end, and the supervisor be lost, wherever one may live."""
    assert {r.target for r in TABLE} >= set(State)
    assert {r.source for r in TABLE} >= set(State)
    assert {r.move for r in TABLE} == set(Move)
    for state in HAS_PROCESS - {State.STOPPING}:
        for move in (Move.CRASHED, Move.GAVE_UP, Move.SUPERVISOR_LOST, Move.STOP_REQUESTED, Move.HUNG):
            assert row(state, move) is not None, (state, move)


def test_every_row_says_a_sentence() -> None:
    assert all(r.sentence[0].isupper() and r.sentence.endswith(".") for r in TABLE)
