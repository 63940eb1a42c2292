"""What changes is told in sentences, once, in the order in which one thing leads to another; and a view survives its way over HTTP."""

from dataclasses import replace

import msgspec
import pytest

from foreman.control.cluster_view import ClusterView
from foreman.control.desk.changes import WORDS, changes, state
from foreman.control.desk.draining import hindrances, left_on, staying_on
from foreman.control.desk.plain import plain_of, view_from
from foreman.control.desk.words import about, status_lines
from foreman.directory.records import ClusterStoryLine, StatusRecord, StoryRecord
from foreman.directory.worker_request import WorkerRequest
from tests.control.desk.views import JOINER, LOG, MEMBER, REDIS, WHOLE, ailing, with_health


def told(old: ClusterView, new: ClusterView) -> list[tuple[str, str]]:
    found = changes(old, new)
    assert {change.what for change in found} <= WORDS.keys()
    return [(change.what, change.about) for change in found]


def without_b(view: ClusterView) -> ClusterView:
    return replace(
        view,
        nodes={"a": view.nodes["a"]},
        health={"a": view.health["a"]},
        services={place: each for place, each in view.services.items() if place.node == "a"},
    )


def test_nothing_changed_nothing_is_told() -> None:
    assert changes(WHOLE, replace(WHOLE, revision=11)) == []
    assert changes(ClusterView(), ClusterView()) == []


def test_a_node_goes_and_comes_with_what_is_on_it() -> None:
    gone = without_b(WHOLE)
    assert told(WHOLE, gone) == [("node_left", "b")]
    assert "redis_1" in changes(WHOLE, gone)[0].sentence
    assert told(gone, WHOLE) == [("node_came", "b")]


def test_services_and_their_health_are_told_of_nodes_that_stay() -> None:
    without = replace(WHOLE, services={place: each for place, each in WHOLE.services.items() if place != REDIS})
    bad = with_health(without, ailing("redis_1", "running", "error", "disk on fire"), status="error")
    assert told(WHOLE, bad) == [("service_left", "redis_1"), ("worker_ails", "redis_1"), ("health_changed", "b")]
    assert told(bad, WHOLE) == [("service_came", "redis_1"), ("worker_recovered", "redis_1"), ("health_changed", "b")]
    assert "is ok again" in changes(bad, WHOLE)[1].sentence


def test_a_worker_given_up_is_told_as_that_once() -> None:
    trying = with_health(WHOLE, ailing("redis_1", "backing_off", "error", "exit 1"))
    given_up = with_health(WHOLE, ailing("redis_1", "failed", "failed_to_start", "exit 1"))
    assert told(trying, given_up) == [("worker_given_up", "redis_1")]
    assert told(given_up, with_health(given_up, *given_up.health["b"].workers, ailing("x", "starting", "starting"))) == []
    assert ("given up", "redis_1 (redis) on node b is failed_to_start(exit 1), failed") in status_lines(given_up)


@pytest.mark.parametrize("state", [("starting", "starting"), ("waiting", "unknown")])
def test_a_start_is_over_in_a_moment_and_not_told(state: tuple[str, str]) -> None:
    starting = with_health(WHOLE, ailing("redis_2", *state))
    assert changes(WHOLE, starting) == []
    assert changes(starting, WHOLE) == []


def test_what_the_director_does_is_told_before_what_it_waits_for() -> None:
    line = ClusterStoryLine(2.0, 5, "the recovery stalled in recruiting logs", "no node")
    later = replace(
        WHOLE,
        leader=None,
        status=StatusRecord(5, "0a", "a", "stalled", "recruiting logs", "no node", ("a node with the capability log",), 2.0),
        story=StoryRecord((*WHOLE.story.lines, line)),
        layout=None,
        spec=None,
        draining=frozenset({"b"}),
    )
    found = changes(WHOLE, later)
    assert [change.what for change in found] == ["wish_changed", "drain_began", "leader_changed", "told", "layout_lost", "director"]
    assert found[-1].sentence == "director: epoch 5, stalled (recruiting logs): no node; a node with the capability log"
    back = [change.what for change in changes(later, WHOLE)]
    assert back == ["wish_changed", "drain_ended", "leader_changed", "layout_published", "director"]


def test_a_requested_worker_is_followed() -> None:
    views = [
        replace(WHOLE, requests={"w": WorkerRequest("w", "redis", {}, 1.0, state, node, "", error)})
        for state, node, error in (
            ("asked", "", {}),
            ("made", "b", {}),
            ("failed", "", {"detail": "no such program"}),
            ("removing", "", {}),
        )
    ]
    told = [changes(old, new)[0] for old, new in zip([WHOLE, *views], [*views, WHOLE], strict=True)]
    assert [each.what for each in told] == ["worker_asked_for", "worker_made", "worker_failed", "worker_removing", "worker_removed"]
    assert told[2].sentence == "w (redis): failed; no such program"


def test_the_state_says_who_is_missed() -> None:
    sentences = [each.sentence for each in state(without_b(WHOLE))]
    assert f"node: b is not there; the layout has {JOINER.id} on it" in sentences
    assert sum(sentence.startswith("team: ") for sentence in sentences) == 2


def test_a_view_survives_json() -> None:
    view = replace(
        with_health(WHOLE, ailing("x", "failed", "failed_to_start", "no"), more=3),
        requests={"w": WorkerRequest("w", "redis", {"deep": [1, {"a": None}]}, 1.0)},
        draining=frozenset({"b"}),
        unreadable=("a record",),
    )
    assert view_from(msgspec.json.decode(msgspec.json.encode(plain_of(view)))) == view
    assert view_from(plain_of(ClusterView())) == ClusterView()


def test_about_one_tells_of_that_one() -> None:
    lines, story = about(LOG.id, WHOLE)
    assert ("layout", f"{LOG.id} on node a is a log of the layout") in lines
    assert ("its own story", f"foreman --address unix:/a why {LOG.id}") in lines
    assert story == list(WHOLE.story.lines)
    lines, story = about("a", WHOLE)
    assert [what for what, _ in lines] == ["node", "runs", "runs"]
    assert story, "a node's name is a word, not any letter"
    assert about("log", WHOLE) == ([], [])
    assert about("nobody", WHOLE) == ([], [])
    assert about(JOINER.id, WHOLE)[0][0][1].endswith("is to join a storage team; it is not healthy there, or its node is away")


def test_a_drain_is_over_when_nothing_that_directors_made_is_there() -> None:
    draining = replace(WHOLE, draining=frozenset({"a"}))
    assert set(left_on("a", draining)) == {LOG.id, MEMBER.id}
    assert left_on("b", draining) == {JOINER.id: "is to join a storage team"}
    assert staying_on("b", draining) == ["redis_1"]
    assert left_on("a", replace(draining, layout=None))[LOG.id] == "is about to be removed"
    assert left_on("a", replace(draining, layout=None, services={})) == {}
    assert hindrances("a", draining) == []
    assert about("a", draining)[0][0][1].endswith("log, storage, redis, is being drained: 2 of the layout still on it")
    assert about("a", replace(draining, layout=None))[0][0][1].endswith(", is drained")
    both = replace(draining, draining=frozenset({"a", "b"}), status=None)
    assert hindrances("a", both) == [
        "no other node has the capability log",
        "no other node has the capability storage",
        "nobody directs the cluster",
    ]
