"""What people read of teams while the keys are cut anew."""

from foreman.control.cluster_view import ClusterView
from foreman.control.desk.words import layout_lines
from foreman.directory.records import Joiner, Layout, Placement, StorageTeam


def test_the_status_says_what_a_joiner_is_to_hold_where_that_is_not_its_teams_range() -> None:
    joining = (
        Joiner(Placement("s2", "n2"), keys=(b"", b"m")),
        Joiner(Placement("s3", "n3"), keys=(b"m", None)),
        Joiner(Placement("s4", "n4")),
    )
    team = StorageTeam(b"", None, (Placement("s1", "n1"),), joining)
    layout = Layout(1, "0" * 8, 0, (Placement("log", "n0"),), (team,))
    [line] = [how for what, how in layout_lines(layout, ClusterView(services={})) if what == "team"]
    assert line == (
        "from the first key on: s1 on n1 (away); joining: s2 on n2 (away), to hold the keys from the first key to m, "
        "s3 on n3 (away), to hold the keys from m on, s4 on n4 (away)"
    )
