"""``make bench-recovery``: how long nobody can write to a cluster after a lost log, node or leader, and where the time goes.

Three nodes and etcd on this machine (those of ``foreman demo --cluster``), 3 logs, 2 storage teams of 2, and a ClusterClient that pushes
all the time. A round kills something at a known moment and ends when a transaction that the new logs took is acknowledged. The parts come
from the directors' story and from the client; the clock is the machine's own for all of them.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.facts import machine
from foreman.api.client import RemoteForeman
from foreman.cli.demo.cluster import Story, client_of, followed
from foreman.cli.demo.machines import CLUSTER, LEASE_S, Machine, Machines, machines
from foreman.cli.demo.misfortunes import is_whole
from foreman.control.cluster_view import ClusterView
from foreman.core.mutations import Set
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Put
from foreman.directory.records import ClusterSpec, Layout, encode
from foreman.workers.clients import ClusterClient
from foreman.workers.clients.cluster_layout import ClusterLayout

ROOT: Final = Path(__file__).resolve().parents[1]
SPEC: Final = ClusterSpec(3, 2, (b"m",), replace_after_s=600.0)
CALM_S: Final = 10.5
"""Before each kill: a director that lasted less is taken for a failure, and the next one would wait."""

WRITERS: Final = 2
PAUSE_S: Final = 0.004
WITHIN_S: Final = 60.0
AFTERWARDS: Final = frozenset({"watching", "cleaning up"})
"""Phases that begin when the layout is published."""

_PART: Final = re.compile(r"(\w[\w ]*?) (\d+(?:\.\d+)?) ms")


@dataclass
class Round:
    """``total_s``: from the kill to the first acknowledgement by the new logs. ``parts_ms``: what came to it, in order."""

    what: str
    total_s: float
    parts_ms: dict[str, float] = field(default_factory=dict)


class Bench:
    """A cluster that is written to all the time."""

    def __init__(self, started: Machines, client: ClusterClient, story: Story) -> None:
        self.machines, self._client, self.story = started, client, story
        self._layout_at: dict[int, float] = {}
        self._first_at: dict[int, float] = {}
        self._layout: ClusterLayout | None = None
        self._acknowledged = asyncio.Event()

    async def write(self, number: int) -> None:
        """Without end. Notes when the first transaction was acknowledged that no earlier logs can have had."""
        while True:
            version = await self._client.push([Set(b"%c%d" % (97 + 6 * number, time.monotonic_ns() % 1000), b"x" * 100)])
            layout = self._layout
            if layout is not None and version > layout.last_version and layout.epoch not in self._first_at:
                self._first_at[layout.epoch] = time.time()
                self._acknowledged.set()
            await asyncio.sleep(PAUSE_S)

    async def watch(self) -> None:
        """Notes when the client knew of each layout."""
        epoch = -1
        while True:
            layout = await self._client.layout(after=epoch)
            self._layout_at[layout.epoch] = time.time()
            epoch, self._layout = layout.epoch, layout

    async def whole(self) -> Layout:
        """The layout, once it is whole and has been for a while."""

        def holds(view: ClusterView) -> bool:
            layout = view.watched
            return is_whole(view, SPEC.storage_replicas) and layout is not None and not any(team.joining for team in layout.teams)

        while True:
            assert await self.story.feed.until(holds, WITHIN_S), f"not whole: {self.story.feed.view.status}"
            layout = self.story.feed.view.layout
            await asyncio.sleep(CALM_S)
            if holds(self.story.feed.view) and self.story.feed.view.layout == layout and layout is not None:
                return layout

    async def round(self, what: str, lose: Callable[[Layout], Awaitable[float]]) -> Round:
        """``lose``: kills, and says when (time.time())."""
        layout = await self.whole()
        self._acknowledged.clear()
        killed = await lose(layout)
        async with asyncio.timeout(WITHIN_S):
            new = await self._client.layout(after=layout.epoch)
            await self._acknowledged.wait()
        assert await self.story.feed.until(lambda view: _served(view, new.epoch) is not None, WITHIN_S)
        return self._round_of(what, killed, layout.epoch, new.epoch)

    def _round_of(self, what: str, killed: float, old: int, new: int) -> Round:
        lines = self.story.feed.view.story.lines
        published = next(line for line in lines if line.epoch == new and line.what.startswith("layout "))
        served = _served(self.story.feed.view, new)
        assert served is not None
        phases = {name: float(ms) for name, ms in _PART.findall(served) if name not in AFTERWARDS}
        began = published.when - sum(phases.values()) / 1000
        ended = next((line.when for line in lines if line.epoch == old and line.what == f"epoch {old} ends"), began)
        parts = {
            "it is noticed": 1000 * (ended - killed),
            "a director of the next epoch begins": 1000 * (began - ended),
            **phases,
            "the client knows the layout": 1000 * (self._layout_at[new] - published.when),
            "the first acknowledgement": 1000 * (self._first_at[new] - self._layout_at[new]),
        }
        return Round(what, self._first_at[new] - killed, parts)

    # --- what is lost ---

    async def lose_log(self, layout: Layout) -> float:
        node = self.machines.by_id(layout.logs[0].node)
        async with RemoteForeman.connect(node.data) as foreman:
            pid = (await foreman.info(layout.logs[0].id)).pid
        assert pid is not None
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        return killed

    def leader(self) -> Machine:
        leader = self.story.feed.view.leader
        assert leader is not None
        return self.machines.by_id(leader.node)


def _served(view: ClusterView, epoch: int) -> str | None:
    """What the director of this epoch said of how long it took."""
    return next((line.reason for line in view.story.lines if line.epoch == epoch and line.what.startswith("the cluster serves")), None)


async def _measure(folder: Path, rounds: int) -> list[Round]:
    found: list[Round] = []
    console = Console(stderr=True)
    async with machines(folder) as started, followed(started, console) as story, client_of(started) as client:
        await started.directory.transact([], [Put(ClusterKeys(CLUSTER).spec, encode(SPEC))])
        bench = Bench(started, client, story)
        running = [asyncio.create_task(bench.watch()), *(asyncio.create_task(bench.write(number)) for number in range(WRITERS))]
        try:
            for _ in range(rounds):
                found.append(await bench.round(LOG, bench.lose_log))
                for what in (NODE, LEADER):
                    leader = bench.leader()
                    lost = leader if what == LEADER else next(node for node in started.nodes.values() if node is not leader)
                    found.append(await bench.round(what, partial(_pull_out, lost)))
                    await lost.start()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    return found


async def _pull_out(lost: Machine, _layout: Layout) -> float:
    await lost.remember()
    killed = time.time()
    await lost.pull_out()
    return killed


LOG: Final = "a log worker is killed, its node lives"
NODE: Final = "a node is pulled out"
LEADER: Final = "the leader's node is pulled out"
GOALS_S: Final = {LOG: 0.3, NODE: LEASE_S + 1.0, LEADER: LEASE_S + 1.0}


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, and write or print the table."""
    parser = argparse.ArgumentParser(prog="make bench-recovery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-docs", action="store_true", help="print only; leave docs/benchmarks as it is")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="fr") as scratch:
        found = asyncio.run(_measure(Path(scratch) / "cluster", options.rounds))
    page = _page(found, os.getloadavg()[1])
    if not options.no_docs:
        (ROOT / "benchmarks/results").mkdir(exist_ok=True)
        plain = [{"what": each.what, "total_s": each.total_s, "parts_ms": each.parts_ms} for each in found]
        (ROOT / "benchmarks/results/recovery.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
        (ROOT / "docs/benchmarks/recovery.md").write_text(page, encoding="utf-8")
    print(page)
    return 0


def _page(found: Sequence[Round], load: float) -> str:
    first = "" if os.sched_getscheduler(0) == os.SCHED_OTHER else "chrt --rr 1 "
    facts: dict[str, Any] = {**machine(), "load of the machine": f"{load:.1f}"}
    lines = [
        "# How long a cluster takes no writes",
        "",
        f"`{first}make bench-recovery`, on {', '.join(f'{name} {value}' for name, value in facts.items())}.",
        "",
        f"Three nodes and one etcd on one machine, 3 logs, 2 storage teams of 2, mutual TLS, a lease of {LEASE_S:g} s. From the kill to",
        "the first transaction that the new logs acknowledged, to a client that pushes all the time.",
        "",
        "| | rounds | best, s | median, s | worst, s | goal, s | |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, goal_s in GOALS_S.items():
        totals = [each.total_s for each in found if each.what == what]
        median = statistics.median(totals)
        mark = "✓" if median < goal_s else "✗"
        lines.append(f"| {what} | {len(totals)} | {min(totals):.3f} | {median:.3f} | {max(totals):.3f} | {goal_s:g} | {mark} |")
    lines += ["", "Where the time goes, medians in ms:", "", f"| | {' | '.join(GOALS_S)} |", "|---|---|---|---|"]
    for part in dict.fromkeys(part for each in found for part in each.parts_ms):
        cells = [_median_of([each.parts_ms[part] for each in found if each.what == what and part in each.parts_ms]) for what in GOALS_S]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    lines += ["", *_NOTES, ""]
    return "\n".join(lines)


_NOTES: Final = (
    "A lost node is noticed when its lease ends, up to a third of it earlier when the last renewal was a while ago. Where other work keeps",
    "the processors busy, `chrt --rr 1` measures the recovery rather than the queue for them; the disk is shared all the same.",
)


def _median_of(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f}" if values else "–"


if __name__ == "__main__":
    sys.exit(main())
