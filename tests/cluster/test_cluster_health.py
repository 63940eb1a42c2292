"""Health is seen from every node without asking the one it is of; a worker that a node gives up is the cluster's."""

from contextlib import aclosing
from pathlib import Path

import pytest

from foreman.api.client import RemoteForeman
from foreman.control.desk.words import about, status_lines
from foreman.core.errors import FailedToStart
from foreman.core.health import Health
from tests.cluster.embedded import WITHIN_S, two_nodes, until, until_told


async def test_a_worker_given_up_on_one_node_is_known_on_the_other(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (a, b):
        here = (await a.node()).node_id
        async with aclosing(b.cluster.events()) as events:
            await anext(events)
            with pytest.raises(FailedToStart):
                await a.new_worker("bad_1", "bad", timeout=WITHIN_S)
            given_up = (await until_told(events, "worker_given_up"))[-1]
            assert given_up.about == "bad_1"
            assert "on node a is" in given_up.sentence
            view = await until(b.cluster, lambda view: view.health[here].status == "failed_to_start")
            (ailing,) = view.health[here].workers
            assert (ailing.id, ailing.kind, ailing.given_up, view.health[here].status) == ("bad_1", "bad", True, "failed_to_start")
            assert "exit 3" in ailing.reason
            assert [what for what, _ in status_lines(view) if what in {"given up", "ailing"}] == ["given up"]
            assert "ailing" in dict(about("bad_1", view)[0])
            await a.remove_worker("bad_1")
            assert (await until_told(events, "worker_recovered"))[-1].about == "bad_1"
        assert (await until(b.cluster, lambda view: view.health[here].status == "ok")).health[here].workers == ()


async def test_what_a_worker_says_of_itself_is_known_through_any_nodes_api(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (a, b):
        await a.new_worker("good_1", "good", timeout=WITHIN_S)
        async with RemoteForeman.connect((await b.node()).data) as remote:
            node = (await a.node()).node_id
            await a.report_health("good_1", Health.error("disk on fire"))
            bad = await until(remote.cluster, lambda view: bool(view.health[node].workers))
            assert (bad.health[node].workers[0].reason, bad.health[node].status) == ("disk on fire", "error")
            assert not any(place.id == "good_1" for place in bad.services)
            await a.report_health("good_1", Health.ok())
            good = await until(remote.cluster, lambda view: not view.health[node].workers and view.health[node].status == "ok")
            assert any(place.id == "good_1" for place in good.services)
