"""Teams: who holds data stays and serves, gaps are filled, and nobody serves who holds nothing."""

from hypothesis import given
from hypothesis import strategies as st

from foreman.control.placement import Place
from foreman.control.teams import Holder, NoMember, TeamPlan, plan_teams, ranges_of, without_recruits
from foreman.directory.records import ClusterSpec, Placement

DOMAINS = "abcd"
PLACES = [Place(f"n{number}", DOMAINS[number % len(DOMAINS)]) for number in range(6)]


def recruit(slot: int, node: str) -> Placement:
    return Placement(f"new-{slot}", node)


@st.composite
def wishes(draw: st.DrawFn) -> ClusterSpec:
    splits = tuple(sorted(draw(st.sets(st.sampled_from([b"g", b"p", b"w"])))))
    return ClusterSpec(draw(st.integers(1, 3)), draw(st.integers(1, 4)), splits)


@st.composite
def several_holders(draw: st.DrawFn) -> list[Holder]:
    homes = st.sampled_from([b"", b"g", b"p", b"gone", None])
    return [
        Holder(
            Placement(f"s{number}", place.node),
            place.domain,
            draw(homes),
            draw(st.integers(0, 9)),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for number, place in enumerate(draw(st.lists(st.sampled_from(PLACES), max_size=8)))
    ]


plans = st.tuples(wishes(), several_holders(), st.lists(st.sampled_from(PLACES), unique=True), st.booleans())
Case = tuple[ClusterSpec, list[Holder], list[Place], bool]


def planned(case: Case) -> list[TeamPlan] | NoMember:
    wish, holders, places, replay_fills = case
    return plan_teams(wish, holders, places, recruit, replay_fills=replay_fills)


@given(plans)
def test_nobody_serves_who_holds_nothing(case: Case) -> None:
    plan, (_, holders, _, replay_fills) = planned(case), case
    if isinstance(plan, NoMember):
        return
    holding = {holder.worker for holder in holders if not holder.away}
    for each in plan:
        assert set(each.team.members) <= holding or (replay_fills and not holding), "an empty worker, or one that is away, would serve"


@given(plans)
def test_every_range_has_one_team_and_only_lacks_a_member_when_nobody_is_there(case: Case) -> None:
    plan, (wish, holders, places, replay_fills) = planned(case), case
    if isinstance(plan, NoMember):
        assert all(holder.away for holder in holders)
        assert not (replay_fills and places) or holders
        return
    assert [(each.team.begin, each.team.end) for each in plan] == ranges_of(wish)


@given(plans)
def test_nobody_is_named_twice_and_recruits_are_in_their_team(case: Case) -> None:
    plan = planned(case)
    if isinstance(plan, NoMember):
        return
    seen: set[Placement] = set()
    for each in plan:
        team = [*each.team.members, *(joiner.worker for joiner in each.team.joining)]
        assert len(set(team)) == len(team)
        assert set(each.recruits) <= set(team)
        assert not seen & set(each.recruits)
        seen |= set(each.recruits)


@given(plans)
def test_the_plan_does_not_depend_on_the_order_in_which_holders_were_found(case: Case) -> None:
    wish, holders, places, replay_fills = case
    assert planned(case) == planned((wish, holders[::-1], places[::-1], replay_fills))


@given(st.integers(1, 4), st.integers(1, 4))
def test_a_whole_team_stays_as_it_is(replicas: int, logs: int) -> None:
    holders = [Holder(Placement(f"s{n}", PLACES[n].node), PLACES[n].domain, b"", 5) for n in range(replicas)]
    plan = plan_teams(ClusterSpec(logs, replicas), holders, PLACES, recruit, replay_fills=False)
    assert not isinstance(plan, NoMember)
    assert [set(each.team.members) for each in plan] == [{holder.worker for holder in holders}]
    assert not any(each.recruits or each.team.joining for each in plan)


def test_a_worker_that_is_away_keeps_its_seat_and_a_lost_one_is_replaced() -> None:
    wish = ClusterSpec(1, 2)
    here = Holder(Placement("s0", "n0"), "a", b"", 5)
    away = Holder(Placement("s1", "n1"), "b", b"", 5, away=True)
    waiting = plan_teams(wish, [here, away], PLACES, recruit, replay_fills=False)
    assert not isinstance(waiting, NoMember)
    assert waiting[0].recruits == ()
    assert [joiner.worker for joiner in waiting[0].team.joining] == [away.worker]
    replacing = plan_teams(wish, [here], PLACES, recruit, replay_fills=False)
    assert not isinstance(replacing, NoMember)
    assert [each.node for each in replacing[0].recruits] == ["n1"], "on another fault domain"
    assert without_recruits(replacing[0], frozenset(replacing[0].recruits)).team.members == (here.worker,)


def test_a_drained_holder_serves_until_it_is_replaced() -> None:
    leaving = Holder(Placement("s0", "n0"), "a", b"", 5, leaving=True)
    plan = plan_teams(ClusterSpec(1, 1), [leaving], PLACES[1:], recruit, replay_fills=False)
    assert not isinstance(plan, NoMember)
    assert plan[0].team.members == (leaving.worker,)
    assert len(plan[0].recruits) == 1
