"""Where workers go: never two of a team on a fault domain while another is free."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from foreman.control.placement import Place, domain_of, is_crowded, place
from foreman.directory.records import NodeRecord


@st.composite
def several_places(draw: st.DrawFn, least: int = 1) -> list[Place]:
    domains = draw(st.lists(st.sampled_from("abcd"), min_size=least, max_size=8))
    return [Place(f"n{number}", domain) for number, domain in enumerate(domains)]


@given(several_places(), st.integers(0, 10), st.data())
def test_domains_are_filled_evenly_beside_what_is_there(places: list[Place], count: int, data: st.DataObject) -> None:
    beside = data.draw(st.lists(st.sampled_from(places), max_size=3))
    nodes = place(count, places, beside=beside)
    domain = {each.node: each.domain for each in places}
    team = Counter([each.domain for each in beside] + [domain[node] for node in nodes])
    assert len(nodes) == count
    if any(team[domain[node]] > 1 for node in nodes):
        assert all(team[each.domain] for each in places), "two share a domain while another is free"
    fullest = max((team[domain[node]] for node in nodes), default=0)
    assert all(fullest - team[each.domain] <= 1 for each in places), "one domain has two more than another"


@given(several_places(), st.integers(0, 10))
def test_the_order_of_the_places_does_not_matter(places: list[Place], count: int) -> None:
    assert place(count, places) == place(count, places[::-1])


def test_nowhere_is_nowhere() -> None:
    assert place(3, []) == ()


def test_the_idle_node_goes_first() -> None:
    assert place(1, [Place("a", "x"), Place("b", "y")], load={"a": 2}) == ("b",)


def test_a_node_without_a_domain_is_one_by_itself() -> None:
    assert domain_of(NodeRecord("n1", "")) != domain_of(NodeRecord("n2", ""))
    assert domain_of(NodeRecord("n1", "")) != domain_of(NodeRecord("x", "", fault_domain="n1"))


@given(st.lists(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_crowded_is_when_the_promise_is_broken(team: list[str], free: list[str]) -> None:
    assert is_crowded(team, free) == (len(set(team)) < len(team) and not set(free) <= set(team))
