"""What only Foreman is asked: whether its cost stays flat, and what it does that peers have no word for. ``make bench ARGS=--scale``.

Embedded listings, 10 to 1,000 workers on one node, a boot with 100 logs on disk, half of 100 workers killed at once, and what an empty log
takes on disk.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import foreman
from benchmarks.against.foreman_node import ForemanNode
from benchmarks.beacon import Beacon
from benchmarks.facts import disk_bytes, pss_mb
from benchmarks.peer import Setup

SIZES: Final = (10, 100, 1_000)
READY_TIMEOUT_S: Final = 300.0
CALLS: Final = 200
LOGS: Final = 100


def measure_scale(setup: Setup, beacon: Beacon, sizes: tuple[int, ...] = SIZES) -> dict[str, dict[str, float]]:
    """Row → column → value, as the page shows them."""
    rows: dict[str, dict[str, float]] = {}
    for size in sizes:
        folder = setup.folder / f"n{size}"
        rows[f"{size} workers"] = _of_size(replace(setup, folder=folder), beacon, size)
        beacon.forget()
    rows[f"{LOGS} logs"] = _logs(replace(setup, folder=setup.folder / "logs"))
    rows["embedded, 100 logs"] = asyncio.run(_embedded(setup.folder / "embedded"))
    return rows


def _of_size(setup: Setup, beacon: Beacon, size: int) -> dict[str, float]:
    setup.folder.mkdir(parents=True)
    node = ForemanNode(setup)
    names = [f"worker_{number}" for number in range(size)]
    try:
        node.start_manager()
        before = time.monotonic()
        node.create(names)
        created = time.monotonic() - before
        listed = median(_timed(node.list_running) for _ in range(20))
        latest = beacon.wait(names, since=before, timeout_s=READY_TIMEOUT_S)
        memory = pss_mb(report.pid for report in latest.values()) / size
        manager = pss_mb(node.manager_pids())
        crashed = time.monotonic()
        for name in names[: size // 2]:
            latest[name].kill()
        beacon.wait(names[: size // 2], since=crashed, timeout_s=READY_TIMEOUT_S)
        recovered = time.monotonic() - crashed
        one = _crash_one(beacon, names[-1])
        removed = _timed(lambda: node.remove(names))
    finally:
        node.close()
    return {
        "create each, ms": created / size * 1000,
        "list all, ms": listed * 1000,
        "crash of one to ready, ms": one * 1000,
        "half killed at once to all ready, s": recovered,
        "worker, MB": memory,
        "manager, MB": manager,
        "remove each, ms": removed / size * 1000,
    }


def _crash_one(beacon: Beacon, name: str) -> float:
    report = [heard for heard in beacon.reports() if heard.name == name][-1]
    before = time.monotonic()
    report.kill()
    return beacon.wait([name], since=before, timeout_s=READY_TIMEOUT_S)[name].at - before


def _logs(setup: Setup) -> dict[str, float]:
    """A node is started with 100 empty logs on disk; how long until all are healthy, and what they take."""
    setup.folder.mkdir(parents=True)
    node = ForemanNode(setup)
    try:
        node.start_manager()
        node.wait_for(node.client.new_workers([(f"log_{number}", "log") for number in range(LOGS)], timeout=READY_TIMEOUT_S))
        taken = disk_bytes(node.data / "workers")
        node.server.send_signal(signal.SIGTERM)
        node.server.wait(timeout=60)
        before = time.monotonic()
        node.start_again("server")
        node.wait_for(node.client.wait_for_healthy(timeout=READY_TIMEOUT_S))
        booted = time.monotonic() - before
    finally:
        node.close()
    return {"start of the node to all healthy, s": booted, "disk for each, MiB": taken / LOGS / 2**20}


async def _embedded(folder: Path) -> dict[str, float]:
    """The Foreman in this program: no socket between."""
    async with foreman.Foreman.open(folder, cluster="bench") as node:
        await node.new_workers([(f"log_{number}", "log") for number in range(LOGS)], timeout=READY_TIMEOUT_S)
        return {
            "all(), µs": await _each_us(node.all),
            "get_all_running_services(), µs": await _each_us(node.get_all_running_services),
        }


async def _each_us(call: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(CALLS):
        before = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - before)
    return median(taken) * 1e6


def _timed(call: Callable[[], Any]) -> float:
    before = time.monotonic()
    call()
    return time.monotonic() - before


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """One list for each size, as a table of its own."""
    lines = ["# One node, from 10 to 1,000 workers", "", "Made by `make bench ARGS=--scale`. Targets: an embedded `all()` at most 30 µs;"]
    lines += ["1,000 workers listed in 4 ms; 100 logs healthy in 1.5 s and at most 1 MiB each; 50 of 100 back in 1 s.", ""]
    lines += ["| | figure | value |", "|---|---|---|"]
    lines += [f"| {row} | {name} | {value:.3g} |" for row, columns in rows.items() for name, value in columns.items()]
    return "\n".join(lines) + "\n"
