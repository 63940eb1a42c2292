"""The table of phases has no holes: whatever a phase says comes next is there, all can be reached, all end."""

import inspect
import re
from typing import get_args

from foreman.control.recovery import outcome
from foreman.control.recovery.table import FIRST, PHASES


def test_what_follows_is_in_the_table_and_everything_in_it_can_be_reached() -> None:
    reached, rest = set[str](), [FIRST]
    while rest:
        name = rest.pop()
        if name not in reached:
            reached.add(name)
            rest += PHASES[name].follows
    assert reached == set(PHASES)


def test_no_walk_goes_round() -> None:
    order = list(PHASES)
    assert all(order.index(name) < order.index(following) for name, phase in PHASES.items() for following in phase.follows)
    assert [name for name, phase in PHASES.items() if not phase.follows] == ["cleaning up"]


def test_a_phase_names_exactly_what_follows_it() -> None:
    for phase in PHASES.values():
        source = inspect.getsource(inspect.getmodule(phase.run) or phase.run)
        assert set(re.findall(r'Next\("([^"]+)"\)', source)) == set(phase.follows)


def test_outcomes_are_a_closed_union() -> None:
    assert {each.__name__ for each in get_args(outcome.Outcome)} == {"Next", "Completed", "Stalled", "Superseded"}
