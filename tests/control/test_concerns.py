"""What a watching director finds wrong: nothing, when its layout is what a recovery would make again; so epochs come to an end."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from foreman.control.absences import Absences
from foreman.control.cluster_view import ClusterView
from foreman.control.concerns import Watched, improvement, still_filling
from foreman.control.holders import Holder, held_by, ranges_of
from foreman.control.named import joiners_of
from foreman.control.teams import NoMember, StoragePlan, plan_teams
from foreman.directory.records import ClusterSpec, Layout, NodeRecord, Placement, ServiceRecord
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange
from tests.control.test_teams import LOG, PLACES, layout_of, ranges, recruit, wishes

NODES = {place.node: NodeRecord(place.node, "", ("log", "storage"), place.domain) for place in PLACES}
DOMAINS = {place.node: place.domain for place in PLACES}


@dataclass(frozen=True)
class Cluster:
    """``layout``: of now. ``ready``: joiners that hold the data. Everybody else is there."""

    wish: ClusterSpec
    layout: Layout
    draining: frozenset[str]

    def watched(self, ready: Iterable[Placement] = ()) -> Watched:
        services = {worker: ServiceRecord(worker.id, "storage", f"c_{worker.id}", worker.node) for worker in held_by(self.layout)}
        view = ClusterView(nodes=NODES, services=services | {LOG: ServiceRecord("log", "log", "c_log", "n0")}, draining=self.draining)
        holds = frozenset(ready)
        filling = still_filling(self.layout, services.keys(), holds, frozenset())
        return Watched(view, self.layout, self.wish, Absences(), 0.0, frozenset(NODES), holds, frozenset(), filling)

    def recovered(self, ready: Iterable[Placement] = ()) -> "Cluster | None":
        """As a recovery finds and leaves it; None: it stalls."""
        joiners, holds = joiners_of(self.layout), frozenset(ready)
        holders = [
            Holder(
                worker, DOMAINS[worker.node], keys, 0 if worker in joiners and worker not in holds else 5, worker not in joiners,
                worker.node in self.draining, away=worker in joiners and worker not in holds,
            )
            for worker, keys in held_by(self.layout).items()
        ]  # fmt: skip
        plan = planned(self.wish, holders, self.draining)
        return None if isinstance(plan, NoMember) else replace(self, layout=layout_of(plan))


def planned(wish: ClusterSpec, holders: list[Holder], draining: frozenset[str]) -> StoragePlan | NoMember:
    places = [place for place in PLACES if place.node not in draining]
    return plan_teams(wish, holders, places, recruit, replay_fills=False)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster | None:
    wish = replace(draw(wishes()), logs=1)
    draining = draw(st.frozensets(st.sampled_from([place.node for place in PLACES[1:]]), max_size=2))
    held = [*draw(st.lists(ranges(), max_size=6)), ALL_KEYS]
    holders = [
        Holder(Placement(f"s{number}", place.node), place.domain, keys, 5, serving=True, leaving=place.node in draining)
        for number, keys in enumerate(held)
        for place in [draw(st.sampled_from(PLACES))]
    ]
    plan = planned(wish, holders, draining)
    return None if isinstance(plan, NoMember) else Cluster(wish, layout_of(plan), draining)


@settings(max_examples=100)
@given(clusters(), st.data())
def test_nothing_is_wrong_with_what_a_recovery_made_until_somebody_is_ready(cluster: Cluster | None, data: st.DataObject) -> None:
    assert cluster is not None
    for _ in range(8):
        assert improvement(cluster.watched()) is None, "an epoch would follow an epoch for nothing"
        joiners = sorted(joiners_of(cluster.layout), key=lambda worker: worker.id)
        some = data.draw(st.lists(st.sampled_from(joiners), unique=True)) if joiners else []
        if improvement(cluster.watched(some)) is not None:
            after = cluster.recovered(some)
        elif improvement(cluster.watched(joiners)) is not None:
            after = cluster.recovered(joiners)
        else:
            break
        assert after is not None
        assert after.layout.teams != cluster.layout.teams
        cluster = after
    else:
        raise AssertionError("it does not come to an end")
    assert [KeyRange(team.begin, team.end) for team in cluster.layout.teams] == ranges_of(cluster.wish)
    assert all(len(team.members) == cluster.wish.storage_replicas for team in cluster.layout.teams)
    assert not {worker.node for worker in held_by(cluster.layout)} & cluster.draining


@given(clusters(), wishes())
def test_another_wish_is_a_reason_unless_it_comes_to_the_same_or_somebody_is_still_being_filled_for_it(
    cluster: Cluster | None, wish: ClusterSpec
) -> None:
    assert cluster is not None
    wishing = replace(cluster, wish=replace(wish, logs=1))
    after = wishing.recovered()
    assert after is not None
    still_wanted = joiners_of(after.layout).keys() & joiners_of(cluster.layout).keys()
    if improvement(wishing.watched()) is None and not still_wanted:
        assert {*held_by(after.layout)} == {*held_by(cluster.layout)}
