"""People are shown names where these are plain, ids where they are not, and may say either; nothing is ever lost or made up in between."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.control.cluster_view import ClusterView
from foreman.control.desk.changes import changes
from foreman.control.desk.plain import plain_of, view_from
from foreman.control.desk.words import about, status_lines, told_of
from foreman.control.naming import lasting_names, meant_by, name_of, node_meant, shown_nodes, with_names
from foreman.core.errors import AmbiguousNode, NodeNotFound
from foreman.core.ids import is_node_name, node_name_of
from foreman.directory.records import (
    MAX_STORY_NAMES,
    ClusterStoryLine,
    Layout,
    LeaderRecord,
    NodeRecord,
    Placement,
    StatusRecord,
    StorageTeam,
    StoryRecord,
)

NORTH, EAST, SOUTH = "00000000000000aa", "00000000000000bb", "00000000000000cc"
LINE: Final = ClusterStoryLine(1.0, 4, f"log-1 was recruited on node {EAST}", f"node {SOUTH} is not there: unix:/run/{SOUTH}/x")


def cluster(names: Mapping[str, str], story: StoryRecord | None = None) -> ClusterView:
    nodes = {id: NodeRecord(id, f"unix:/{id}", ("log",), name=name) for id, name in names.items()}
    return ClusterView(nodes=nodes, story=story or StoryRecord(()))


ids = st.text("0123456789abcdef", min_size=16, max_size=16)
names = st.sampled_from(["", "north", "east", "a.example.org", NORTH])
clusters = st.dictionaries(ids | st.just(NORTH), names, max_size=6).map(cluster)


@given(clusters)
def test_what_is_shown_says_which_node_it_is(view: ClusterView) -> None:
    shown = shown_nodes(view)
    assert len(set(shown.values())) == len(shown), "no two look alike"
    for id in view.nodes:
        text = shown.get(id, id)
        assert name_of(id, view) in text
        if id not in text:
            assert node_meant(text, view) == id, "what is shown without its id can be said again"
        assert node_meant(id, view) == id, "an id always can"


@given(clusters, st.text())
def test_a_text_without_ids_is_left_alone(view: ClusterView, text: str) -> None:
    spared = "".join("-" if character in "0123456789abcdef" else character for character in text)
    assert with_names(spared, shown_nodes(view)) == spared


def test_an_id_beside_names_that_two_have_or_that_are_anothers_id() -> None:
    assert shown_nodes(cluster({NORTH: "x", EAST: "x", SOUTH: ""})) == {NORTH: f"x ({NORTH})", EAST: f"x ({EAST})"}
    posing = cluster({NORTH: EAST, EAST: "east"})
    assert shown_nodes(posing) == {NORTH: f"{EAST} ({NORTH})", EAST: "east"}
    assert node_meant(EAST, posing) == EAST
    assert with_names(f"{NORTH}, {EAST}.", shown_nodes(posing)) == f"{EAST} ({NORTH}), east."


def test_only_whole_words_are_ids() -> None:
    shown = {NORTH: "north"}
    for kept in (f"/srv/{NORTH}", f"{NORTH}/x", f"{NORTH}0", f"x{NORTH}", f"{NORTH}.pem", f"log-{NORTH}"):
        assert with_names(kept, shown) == kept
    assert with_names(f"{NORTH}: ({NORTH}), {NORTH}.", shown) == "north: (north), north."


def test_who_is_meant() -> None:
    view = cluster({NORTH: "north", EAST: "x", SOUTH: "x"})
    assert (node_meant("north", view), node_meant(SOUTH, view)) == (NORTH, SOUTH)
    with pytest.raises(AmbiguousNode, match=f"2 nodes are called 'x'; name one by its id: {EAST}, {SOUTH}"):
        node_meant("x", view)
    with pytest.raises(NodeNotFound, match=rf"it knows north \({NORTH}\), x "):
        node_meant("nobody", view)
    assert meant_by("", cluster({NORTH: ""})) == []


def test_a_node_that_is_gone_keeps_its_name_in_the_story() -> None:
    view = replace(cluster({NORTH: "north", EAST: "east"}), draining=frozenset({NORTH}))
    story = StoryRecord((LINE,), lasting_names(view, [LINE]))
    assert story.names == {NORTH: "north", EAST: "east"}
    later = view_from(plain_of(replace(cluster({}, story), draining=frozenset({NORTH}))))
    assert ("node", f"north ({NORTH}) is not there") in status_lines(later)
    assert told_of(later.story.lines, later)[0].what == "log-1 was recruited on node east"
    assert node_meant("north", later) == NORTH
    assert lasting_names(later, [LINE]) == story.names, "and the next leader keeps it"
    many = cluster({f"{number:016x}": "n" for number in range(MAX_STORY_NAMES + 1)})
    assert len(lasting_names(replace(many, draining=frozenset(many.nodes)), [])) == MAX_STORY_NAMES


def test_every_sentence_speaks_of_names() -> None:
    log, member = Placement("log-1", EAST), Placement("storage-1", SOUTH)
    view = replace(
        cluster({NORTH: "north", EAST: "east", SOUTH: "south"}, StoryRecord((LINE,))),
        leader=LeaderRecord(NORTH, "unix:/north"),
        layout=Layout(4, "0a0b0c0d", 0, (log,), (StorageTeam(b"", None, (member,)),)),
        status=StatusRecord(4, "0a0b0c0d", NORTH, "stalled", "locking", f"node {EAST} does not answer", (f"node {SOUTH}",), 1.0),
    )
    lines = status_lines(view)
    assert ("leader", "north at unix:/north") in lines
    assert ("why", "node east does not answer") in lines
    assert ("missing", "node south") in lines
    assert ("logs", "log-1 on east (away)") in lines
    assert [how.partition(" at ")[0] for what, how in lines if what == "node"] == [f"{name_of(id, view)} ({id})" for id in view.nodes]
    assert about("log-1", view)[0] == [
        ("layout", "log-1 on node east is a log of the layout; it is not healthy there, or its node is away")
    ]
    assert about("east", view)[1] == [LINE], "for programs as it is written"
    assert about("east", view) == about(EAST, view)
    gone = replace(view, nodes={NORTH: view.nodes[NORTH]}, draining=frozenset({NORTH}), leader=None)
    assert [(each.about, each.sentence) for each in changes(view, gone)][:3] == [
        (NORTH, "node north is to be drained"),
        (EAST, "node east left"),
        (SOUTH, "node south left"),
    ]


def test_about_a_name_that_is_a_workers_or_two_nodes() -> None:
    view = cluster({NORTH: "x", EAST: "x"})
    with pytest.raises(AmbiguousNode):
        about("x", view)
    log = replace(view, layout=Layout(1, "0" * 8, 0, (Placement("x", NORTH),), (StorageTeam(b"", None, (Placement("y", NORTH),)),)))
    assert [what for what, _ in about("x", log)[0]] == ["layout"], "then the worker is"


@pytest.mark.parametrize(
    ("host", "name"),
    [("web-1.example.org", "web-1.example.org"), ("_srv one_", "srv-one"), ("…", ""), ("", ""), ("-" * 80, ""), ("x" * 80, "x" * 63)],
)
def test_a_host_name_becomes_a_word(host: str, name: str) -> None:
    assert node_name_of(host) == name


@given(st.text(max_size=100))
def test_of_any_host_name(host: str) -> None:
    assert node_name_of(host) == "" or is_node_name(node_name_of(host))


@pytest.mark.parametrize("name", ["a b", "\x1b[31m", "x" * 64, "-x", "north (00000000000000aa)"])
def test_a_record_with_another_name_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        NodeRecord(NORTH, "", name=name)
    with pytest.raises(ValueError, match="name"):
        StoryRecord((), {NORTH: name})
