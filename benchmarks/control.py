"""``make bench-control``: what it costs to control clusters of 10, 100 and 1,000 nodes, idle and when something is lost.

The real coordinators, directors and gateways run over the simulated directory and network of ``foreman.testing.cluster_simulator``, in
virtual time: ten minutes of nothing, then a log worker crashes, then a node is lost and one storage worker after the other is replaced.
Counted are writes, bytes and watch deliveries of the directory, lease renewals (no writes: they change no key) and messages to foremen;
the leader's processor time is measured, with everything else in this process left out; so is Python's search for garbage: whenever
somebody makes an object it may go through a thousand simulated nodes, and it was more than half of what a leader was said to cost.
"""

import argparse
import asyncio
import gc
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from benchmarks.facts import machine
from benchmarks.report import FOREMAN_COLOUR, drawing, entitle
from benchmarks.table import three_figures
from foreman.control.settings import ControlSettings
from foreman.directory.records import ClusterSpec
from foreman.testing.cluster_simulator import virtual_time
from foreman.testing.cluster_simulator.virtual_time import the_loop
from foreman.testing.cluster_simulator.world import Simulation

ROOT: Final = Path(__file__).resolve().parents[1]
SIZES: Final = (10, 100, 1_000)
COORDINATORS: Final = 3
LEASE_S: Final = 10.0
REPLACE_AFTER_S: Final = 60.0
IDLE_S: Final = 600.0
AFTER_CRASH_S: Final = 30.0
AFTER_LOSS_S: Final = 150.0


@dataclass(frozen=True, slots=True)
class Cost:
    """``leader_ms``: processor time. ``foremen``: messages to them."""

    writes: float
    bytes: float
    deliveries: float
    renewals: float
    foremen: float
    leader_ms: float

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __truediv__(self, by: float) -> "Cost":
        return Cost(*(mine / by for mine in astuple(self)))

    def __mul__(self, by: float) -> "Cost":
        return Cost(*(mine * by for mine in astuple(self)))


_LINES: Final = (("idle", "o-", "idle, per s"), ("crash", "s--", "log crashed"), ("loss", "^:", "node lost"))
ROWS: Final = {
    "writes": "directory writes", "bytes": "directory bytes written", "deliveries": "watch deliveries", "renewals": "lease renewals",
    "foremen": "messages to foremen", "leader_ms": "leader's processor time, ms",
}  # fmt: skip


def cost_of(simulation: Simulation) -> Cost:
    """All so far."""
    store, meter, leader = simulation.store, the_loop().meter or {}, simulation.leader
    assert leader is not None
    foremen = sum(reach.asked for reach in simulation.reaches)
    return Cost(store.revision - 1, store.written_bytes, store.told, store.renewals, foremen, meter.get(leader, 0) / 1e6)


def measure(nodes: int) -> dict[str, Any]:
    """Per second idle, and per event what it cost beyond being idle for that time."""
    wish = ClusterSpec(3, 3, tuple(b"%06d" % number for number in range(1, max(1, nodes // 10))), REPLACE_AFTER_S)
    simulation = Simulation(1, nodes, wish, coordinators=COORDINATORS, settings=ControlSettings(lease_s=LEASE_S))

    async def run() -> dict[str, Any]:
        the_loop().meter = {}
        simulation.begin()
        await simulation.until(lambda: simulation.is_watched)
        await asyncio.sleep(60.0)
        start = cost_of(simulation)
        await asyncio.sleep(IDLE_S)
        idle = (cost_of(simulation) - start) / IDLE_S
        crash = await _event(simulation, idle, AFTER_CRASH_S, _crash_a_log)
        loss = await _event(simulation, idle, AFTER_LOSS_S, _lose_a_node)
        return {"nodes": nodes, "teams": len(wish.splits) + 1, "start": asdict(start), "idle": asdict(idle), "crash": crash, "loss": loss}

    gc.collect()
    gc.disable()
    try:
        return virtual_time.run(run())
    finally:
        gc.enable()


async def _event(simulation: Simulation, idle: Cost, seconds: float, happen: Callable[[Simulation], Awaitable[None]]) -> dict[str, float]:
    before, epoch = cost_of(simulation), simulation.promises.epoch
    await happen(simulation)
    await asyncio.sleep(seconds)
    await simulation.until(lambda: simulation.is_watched)
    cost = cost_of(simulation) - before - idle * seconds
    return {**asdict(cost), "epochs": simulation.promises.epoch - epoch}


async def _crash_a_log(simulation: Simulation) -> None:
    layout = simulation.layout
    assert layout is not None
    log = layout.logs[0]
    simulation.nodes[log.node].kill_worker(log.id)
    await asyncio.sleep(1.0)
    node = simulation.nodes[log.node]
    if log.id in node.workers:
        node.start_worker(log.id)


async def _lose_a_node(simulation: Simulation) -> None:
    """One that has a storage worker; if there is such a one, without a log and without a coordinator; never the leader's."""
    layout = simulation.layout
    assert layout is not None
    logs = {log.node for log in layout.logs}
    members = sorted({member.node for team in layout.teams for member in team.members} - {simulation.leader})
    simulation.nodes[min(members, key=lambda node: (node in logs, int(node[1:]) < COORDINATORS, node))].crash()


# --- what people read ---


def markdown(run: dict[str, Any]) -> str:
    """The page."""
    sizes = run["sizes"]
    facts = ", ".join(f"{key} {value}" for key, value in run["machine"].items())
    lines = [
        "# What control costs",
        "",
        f"Made by `make bench-control` on {run['day']}; {facts}.",
        "Simulated clusters (`foreman.testing.cluster_simulator`) in virtual time, with the real director, gateways and coordinators",
        f"(on {COORDINATORS} nodes); leases of {LEASE_S:.0f} s, a storage team of three for ten nodes. The leader's time is processor",
        "time of this machine, without Python's search for garbage among all simulated nodes; all else is counted and does not depend",
        f"on it. Renewals of leases write no key. A lost node is replaced after {REPLACE_AFTER_S:.0f} s; its figures hold all the epochs",
        "that this takes. A layout of 1,000 nodes names 300 storage workers on about as many nodes: each node is asked once in a recovery.",
        "",
        "![chart](control.svg)",
    ]
    for part, title in (
        ("idle", "Idle, per second"),
        ("crash", "A log worker crashes"),
        ("loss", "A node is lost, and its workers are replaced"),
    ):
        lines += [
            "",
            f"## {title}",
            "",
            "| | " + " | ".join(f"{size['nodes']:,} nodes" for size in sizes) + " |",
            "|---|" + "---|" * len(sizes),
        ]
        rows = {key: name for key, name in ROWS.items() if part == "idle" or key != "renewals"}
        lines += [
            f"| {name} | " + " | ".join(three_figures(max(0.0, size[part][key])) for size in sizes) + " |" for key, name in rows.items()
        ]
        if part != "idle":
            lines.append("| epochs | " + " | ".join(f"{size[part]['epochs']}" for size in sizes) + " |")
    return "\n".join(lines) + "\n"


def chart(run: dict[str, Any], path: Path) -> None:
    """One small picture for each row: idle and both events over the number of nodes."""
    nodes = [size["nodes"] for size in run["sizes"]]
    with drawing(path, 2, 3, (12, 6)) as (figure, axes):
        for (key, name), axis in zip(ROWS.items(), axes, strict=True):
            for part, style, label in _LINES[: 1 if key == "renewals" else None]:
                values = [max(size[part][key], 1e-3) for size in run["sizes"]]
                axis.plot(nodes, values, style, color=FOREMAN_COLOUR, label=label, markersize=4)
            entitle(axis, name)
            axis.set_xscale("log")
            axis.set_yscale("log")
        axes[0].legend(fontsize=8)
        figure.supxlabel("nodes", fontsize=9)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, and write or print the page."""
    parser = argparse.ArgumentParser(prog="make bench-control", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=list(SIZES), help="cluster sizes")
    parser.add_argument("--no-docs", action="store_true", help="print the page; write neither it nor the chart")
    options = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sizes = []
    for nodes in options.nodes:
        sizes.append(measure(nodes))
        print(f"{nodes:,} nodes: {json.dumps(sizes[-1])}", file=sys.stderr)
    run = {"day": datetime.now(UTC).date().isoformat(), "machine": machine(), "sizes": sizes}
    if options.no_docs:
        print(markdown(run))
        return 0
    results, docs = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmarks"
    results.mkdir(parents=True, exist_ok=True)
    (results / "control.json").write_text(json.dumps(run, indent=1), encoding="utf-8")
    (docs / "control.md").write_text(markdown(run), encoding="utf-8")
    chart(run, docs / "control.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
