"""Which nodes a recovery may miss: those that the layout has workers on."""

from foreman.control.cluster_view import ClusterView
from foreman.control.named import absent_nodes, named_nodes
from foreman.directory.records import Joiner, Layout, NodeRecord, Placement, StorageTeam

LAYOUT = Layout(
    3, "0" * 8, 10,
    (Placement("log-1", "a"), Placement("log-2", "b")),
    (StorageTeam(b"", None, (Placement("storage-1", "b"),), (Joiner(Placement("storage-2", "c")),)),),
)  # fmt: skip


def test_nodes_of_logs_members_and_joiners_are_named() -> None:
    assert named_nodes(ClusterView(layout=LAYOUT)) == {"a", "b", "c"}


def test_absent_are_those_the_directory_does_not_show() -> None:
    nodes = {id: NodeRecord(id, "unix:/run") for id in ("b", "d")}
    assert absent_nodes(ClusterView(layout=LAYOUT, nodes=nodes)) == {"a", "c"}


def test_without_a_layout_nobody_is_missed() -> None:
    assert absent_nodes(ClusterView()) == frozenset()
