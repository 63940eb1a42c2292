"""The names that attempts give: the same for a retry, never the same for two attempts, and known again by whoever finds them."""

from hypothesis import given
from hypothesis import strategies as st

from foreman.control.attempt import Attempt, Origin, is_spent, origin_of
from foreman.core.ids import parse_worker_id

attempts = st.builds(Attempt, st.integers(1, 2**63 - 1), st.from_regex(r"[0-9a-f]{8}", fullmatch=True))
nodes = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
roles = st.sampled_from(["log", "storage"])
slots = st.integers(0, 99_999)


@given(attempts, roles, slots, nodes)
def test_a_retry_asks_for_the_same_worker_and_its_origin_is_known(attempt: Attempt, role: str, slot: int, node: str) -> None:
    id = attempt.worker(role, slot, node)
    assert id == Attempt(attempt.epoch, attempt.recovery_id).worker(role, slot, node)
    assert parse_worker_id(id) == id
    assert origin_of(id) == Origin(role, attempt.epoch, attempt.recovery_id, slot)


@given(attempts, attempts, roles, slots, nodes)
def test_two_attempts_never_ask_for_the_same_worker(one: Attempt, other: Attempt, role: str, slot: int, node: str) -> None:
    assert (one.worker(role, slot, node) == other.worker(role, slot, node)) == (one == other)


@given(nodes)
def test_what_people_made_is_never_spent(id: str) -> None:
    assert origin_of(id) is not None or not is_spent(id, 2**62, frozenset())


@given(attempts, roles, slots, nodes, st.integers(0, 2**63 - 1))
def test_spent_is_what_is_as_old_as_the_layout_and_not_in_it(attempt: Attempt, role: str, slot: int, node: str, layout: int) -> None:
    id = attempt.worker(role, slot, node)
    assert is_spent(id, layout, frozenset()) == (attempt.epoch <= layout)
    assert not is_spent(id, layout, frozenset({id}))
