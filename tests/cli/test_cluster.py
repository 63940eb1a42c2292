"""The cluster's commands against a running node: what they print, what they refuse, and how they end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foreman.directory.health_record import AilingWorker, HealthRecord
from foreman.directory.records import (
    ClusterSpec,
    ClusterStoryLine,
    Layout,
    LeaderRecord,
    NodeRecord,
    Placement,
    StatusRecord,
    StorageTeam,
    StoryRecord,
)
from foreman.testing.fake_cluster import FakeCluster
from foreman.testing.fake_foreman import FakeForeman
from tests.cli.conftest import Run

LOG = Placement("log-4-0a0b0c0d-0-00000001", "a")


@pytest.fixture
def cluster(fake: FakeForeman) -> FakeCluster:
    """A cluster that serves, with a worker given up on node b."""
    bad = AilingWorker("redis_1", "redis", "failed", "failed_to_start", "exit 1\x1b[31m")
    fake.whole_cluster.become(
        spec=ClusterSpec(1, 1),
        leader=LeaderRecord("a", "unix:/a"),
        epoch=4,
        layout=Layout(4, "0a0b0c0d", 0, (LOG,), (StorageTeam(b"", None, (Placement("storage-4-0a0b0c0d-0-00000001", "b"),)),)),
        status=StatusRecord(4, "0a0b0c0d", "a", "watching", "", "", (), 1.0),
        health={"b": HealthRecord("b", "failed_to_start", "at_least_one_failed_to_start", (bad,), 2)},
        story=StoryRecord((ClusterStoryLine(1.0, 4, "redis_1 was made on node b", "somebody asked the cluster for it"),)),
    )
    return fake.whole_cluster


async def test_status_says_who_ails_and_who_was_given_up(run: Run, cluster: FakeCluster, data: Path) -> None:
    shown = await run("cluster", "status", "--data", str(data))
    assert shown.code == 0, shown
    assert "given up  redis_1 (redis) on node b is failed_to_start(exit 1 [31m), failed" in shown.out
    assert "b at unix:/b is failed_to_start(at_least_one_failed_to_start)" in shown.out
    assert "2 more on node b" in shown.out
    assert "\x1b" not in shown.out
    plain = json.loads((await run("cluster", "status", "--json", "--address", f"unix:{data / 'run' / 'foreman.sock'}")).out)
    assert plain["health"][0]["workers"][0]["reason"] == "exit 1\x1b[31m"
    assert cluster.view.status is not None
    cluster.become(status=replace(cluster.view.status, state="stalled"))
    assert (await run("--data", str(data), "cluster", "status")).code == 1


async def test_why_tells_about_one(run: Run, cluster: FakeCluster, data: Path) -> None:
    told = await run("cluster", "why", "redis_1", "--data", str(data))
    assert told.code == 0
    assert "foreman --address unix:/b why redis_1" in told.out
    assert "redis_1 was made on node b" in told.out
    plain = json.loads((await run("cluster", "why", "a", "--json", "--data", str(data))).out)
    assert plain["facts"][0][0] == "node"
    assert "no worker 'nobody'" in (await run("cluster", "why", "nobody", "--data", str(data))).failed_with(1)


async def test_events_say_how_it_is(run: Run, cluster: FakeCluster, data: Path) -> None:
    lines = (await run("cluster", "events", "--data", str(data))).out.splitlines()
    assert lines[0].endswith("wish: 1 logs and 1 storage teams of 1")
    assert any("given up: redis_1" in line for line in lines)
    events = [json.loads(line) for line in (await run("cluster", "events", "--json", "--data", str(data))).out.splitlines()]
    assert {event["what"] for event in events} == {"state"}
    assert len(events) == len(lines)


async def test_a_node_is_drained_and_taken_back(run: Run, cluster: FakeCluster, data: Path) -> None:
    drained = await run("node", "drain", "a", "--data", str(data))
    assert (drained.code, drained.out) == (
        0,
        "node a is to be drained; 1 worker of the layout is still on it (`foreman node drain a --wait`)\n",
    )
    assert cluster.view.draining == {"a"}
    late = await run("node", "drain", "a", "--wait", "--timeout", "0.5", "--data", str(data))
    assert late.code == 75
    assert late.out == f"still on it: {LOG.id} is a log of the layout\n"
    assert f"{LOG.id}: is a log of the layout" in late.err
    back = await run("node", "undrain", "a", "--json", "--data", str(data))
    assert json.loads(back.out) == {"node": "a", "name": "", "draining": False}
    assert cluster.view.draining == frozenset()
    assert "no node 'c'; it knows a, b" in (await run("node", "drain", "c", "--data", str(data))).failed_with(1)
    cluster.become(layout=None, spec=None)
    assert "nothing of the layout is on node b" in (await run("node", "drain", "b", "--wait", "--data", str(data))).out


async def test_a_node_is_meant_by_its_name(run: Run, cluster: FakeCluster, data: Path) -> None:
    north, east = "00000000000000aa", "00000000000000bb"
    nodes = {id: NodeRecord(id, f"unix:/{name}", ("log",), name=name) for id, name in ((north, "north"), (east, "east"))}
    cluster.become(nodes=nodes, layout=None, spec=None, health={}, leader=LeaderRecord(north, "unix:/north"))
    drained = await run("node", "drain", "east", "--data", str(data))
    assert (
        "nothing of the layout is on node east; end it with `foreman down`, or take it back with `foreman node undrain east`" in drained.out
    )
    assert cluster.view.draining == {east}
    status = (await run("cluster", "status", "--data", str(data))).out
    assert f"east ({east}) at unix:/east" in status
    assert "leader    north at unix:/north" in status
    assert f"north ({north}) at" in (await run("cluster", "why", "north", "--data", str(data))).out
    back = await run("node", "undrain", "east", "--json", "--data", str(data))
    assert json.loads(back.out) == {"node": east, "name": "east", "draining": False}
    cluster.become(nodes={**nodes, east: replace(nodes[east], name="north")})
    for command in (("node", "drain", "north"), ("cluster", "why", "north")):
        refused = (await run(*command, "--data", str(data))).failed_with(1)
        assert refused == f"foreman: 2 nodes are called 'north'; name one by its id: {north}, {east}"
    assert f"is on node north ({east});" in (await run("node", "drain", east, "--data", str(data))).out


async def test_this_node_is_meant_when_none_is_named(run: Run, cluster: FakeCluster, data: Path) -> None:
    assert "no node '0123456789abcdef'" in (await run("node", "drain", "--data", str(data))).failed_with(1)


async def test_a_worker_is_asked_for_and_removed(run: Run, cluster: FakeCluster, data: Path) -> None:
    made = await run("cluster", "new", "redis", "--id", "redis_2", "-p", "port=6400", "--data", str(data))
    assert (made.code, made.out) == (0, "redis_2 is healthy on node a, as demo_redis_2\n")
    assert cluster.view.requests["redis_2"].params == {"port": 6400}
    assert "exists" in (await run("cluster", "new", "redis", "--id", "redis_2", "--data", str(data))).failed_with(1)
    anonymous = json.loads((await run("cluster", "new", "redis", "--json", "--data", str(data))).out)
    assert anonymous["id"].startswith("redis-")
    assert "--id" in (await run("cluster", "new", "No Such", "--data", str(data))).failed_with(1)
    assert (await run("cluster", "new", "redis", "-p", "nonsense", "--data", str(data))).code == 2
    assert (await run("cluster", "rm", "redis_2", "--data", str(data))).out == "redis_2 is removed\n"
    assert "redis_2" in (await run("cluster", "rm", "redis_2", "--data", str(data))).failed_with(1)


async def test_a_wish_through_a_node(run: Run, cluster: FakeCluster, data: Path) -> None:
    made = await run("cluster", "configure", "--logs", "2", "--storage-replicas", "2", "--split", "g", FOREMAN_DATA=str(data))
    assert made.out.startswith("the cluster is to have 2 logs and 2 storage teams of 2, cut at g;")
    both = await run("cluster", "status", "--config", "x.toml", "--address", "unix:/nowhere")
    assert both.code == 2


async def test_nobody_there_is_said(run: Run, tmp_path: Path) -> None:
    assert "no foreman answers" in (await run("cluster", "status", "--address", f"unix:{tmp_path}/none")).failed_with(69)
    assert "no node at" in (await run("cluster", "status", "--data", str(tmp_path / "nowhere"))).failed_with(1)
    (tmp_path / "empty").mkdir()
    refused = (await run("node", "drain", "--data", str(tmp_path / "empty"))).failed_with(1)
    assert "no node here" in refused
