"""What is done to each peer in a round, and what is measured. One file, so that it is the same for all.

A figure that a peer cannot give is left out with the reason; the round goes on. Times are seconds here, and become the units of the
table in benchmarks.table.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.beacon import Beacon, Report
from benchmarks.facts import cpu_ms, pss_mb
from benchmarks.peer import Peer, Setup

READY_TIMEOUT_S: Final = 120.0
LIST_TIMES: Final = 20
QUIET_AFTER_S: Final = 3.0
SETTLED_S: Final = 1.5  # supervisord and runit treat a worker of less than a second as one that cannot start
AFTER_DEATH_S: Final = 4.0


@dataclass(frozen=True)
class Plan:
    """How much is done. ``asleep_s``: how long a sleeping manager is watched; ``witnesses``: workers that live through its death."""

    workers: int = 100
    creations: int = 7
    crashes: int = 5
    asleep_s: float = 8.0
    witnesses: int = 10


QUICK: Final = Plan(workers=20, creations=3, crashes=2, asleep_s=3.0, witnesses=5)


@dataclass
class Figures:
    """What one round on one peer gave: figures by row, words by row, and what failed."""

    values: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def measure(kind: type[Peer], setup: Setup, beacon: Beacon, plan: Plan) -> Figures:
    """One round on one peer, from the start of its manager to its end."""
    figures = Figures()
    setup.folder.mkdir(parents=True)
    peer = kind(setup)
    round_ = Round(peer, beacon, plan, figures)
    try:
        peer.start_manager()
        round_.run()
    except Exception as error:
        figures.missing["round"] = f"{type(error).__name__}: {error}"
    finally:
        _quietly(peer.close, figures)
        beacon.forget()
        shutil.rmtree(setup.folder, ignore_errors=True)
    return figures


class Round:
    """The steps of a round, in their order."""

    def __init__(self, peer: Peer, beacon: Beacon, plan: Plan, figures: Figures) -> None:
        self.peer = peer
        self.beacon = beacon
        self.plan = plan
        self.figures = figures
        self.count = min(plan.workers, peer.most_workers)

    def run(self) -> None:
        native = self.peer.setup.native is not None
        self._create_singly("native_create_s" if native else "create_s")
        names = [f"many_{number}" for number in range(self.plan.witnesses if native else self.count)]
        rate = self._create_at_once(names)
        if native:
            self._crash(names, "native_crash_s")
            return
        self.figures.values["create_per_s"] = rate
        self._list(len(names))
        self._weigh(names)
        self._crash(names, "crash_s")
        self._remove_all(names)
        self._kill_the_manager()

    def _create_singly(self, row: str) -> None:
        """The first pays for what is loaded late and is not counted."""
        names = [f"single_{number}" for number in range(self.plan.creations + 1)]
        taken = [self._create_one(name) for name in names]
        self.figures.values[row] = median(taken[1:])
        self.figures.values[f"{row}_cold"] = taken[0]
        self.peer.remove(names)

    def _create_one(self, name: str) -> float:
        before = time.monotonic()
        self.peer.create([name])
        returned = time.monotonic()
        return max(returned, self._ready([name], before)[name].at) - before

    def _create_at_once(self, names: Sequence[str]) -> float:
        before = time.monotonic()
        self.peer.create(names)
        returned = time.monotonic()
        last = max(report.at for report in self._ready(names, before).values())
        return len(names) / (max(returned, last) - before)

    def _list(self, expected: int) -> None:
        if not self.peer.has_manager:
            return
        taken = []
        running = 0
        for _ in range(LIST_TIMES):
            before = time.monotonic()
            running = self.peer.list_running()
            taken.append(time.monotonic() - before)
        self.figures.values["list_s"] = median(taken)
        if running != expected:
            self.figures.missing["list_s"] = f"lists {running} of {expected} as running"

    def _weigh(self, names: Sequence[str]) -> None:
        time.sleep(QUIET_AFTER_S)
        latest = {report.name: report for report in self.beacon.reports()}
        self.figures.values["worker_mb"] = pss_mb(latest[name].pid for name in names) / len(names)
        pids = self.peer.manager_pids()
        self.figures.values["manager_mb"] = pss_mb(pids)
        used, before = cpu_ms(pids), time.monotonic()
        time.sleep(self.plan.asleep_s)
        self.figures.values["asleep_ms_per_s"] = (cpu_ms(pids) - used) / (time.monotonic() - before)

    def _crash(self, names: Sequence[str], row: str) -> None:
        time.sleep(SETTLED_S)
        taken = []
        latest = {report.name: report for report in self.beacon.reports()}
        for name in names[: self.plan.crashes]:
            before = time.monotonic()
            latest[name].kill()
            taken.append(self._ready([name], before)[name].at - before)
        self.figures.values[row] = median(taken)

    def _remove_all(self, names: Sequence[str]) -> None:
        before = time.monotonic()
        self.peer.remove(names)
        alive = [report for report in self.beacon.reports() if report.alive()]
        while any(report.alive() for report in alive):
            if time.monotonic() - before > READY_TIMEOUT_S:
                raise TimeoutError("removed workers still live")
            time.sleep(0.001)
        self.figures.values["remove_s"] = time.monotonic() - before

    def _kill_the_manager(self) -> None:
        if not self.peer.has_manager:
            return
        told = []
        for number, death in enumerate(self.peer.deaths()):
            names = [f"witness_{number}_{each}" for each in range(min(self.plan.witnesses, self.peer.most_workers))]
            self._create_at_once(names)
            told.append(f"{death}: {self._what_became_of(names, death)}")
        self.figures.words["manager_killed"] = "; ".join(told) if len(told) > 1 else told[0].partition(": ")[2]

    def _what_became_of(self, names: Sequence[str], death: str) -> str:
        """Kill the manager, bring it back, and look at the workers after a while."""
        old = [report for report in self.beacon.reports() if report.name in names]
        time.sleep(SETTLED_S)
        before = time.monotonic()
        for pid in self.peer.deaths()[death]:
            os.kill(pid, signal.SIGKILL)
        try:
            self.peer.start_again(death)
        except Exception as error:
            self.figures.missing["manager_killed"] = f"{type(error).__name__}: {error}"
        time.sleep(AFTER_DEATH_S)
        new = [report for report in self.beacon.reports() if report.at > before and report.name in names and report.alive()]
        alive = [report for report in old if report.alive()]
        return verdict(len(names), len(alive), len(new), _managed(self.peer))

    def _ready(self, names: Sequence[str], since: float) -> dict[str, Report]:
        return self.beacon.wait(names, since=since, timeout_s=READY_TIMEOUT_S)


def verdict(asked: int, old: int, new: int, managed: int) -> str:
    """What a manager's death did to its workers, in a word or two."""
    match (old == asked, new):
        case (True, 0) if managed >= asked:
            return "all adopted"
        case (True, 0):
            return "all orphaned"
        case (True, _):
            return f"{new} of {asked} doubled"
        case (False, _) if old == 0 and new == asked:
            return "all started again"
        case (False, 0) if old == 0:
            return "all ended"
        case _:
            return f"{old} of {asked} still run, {new} new, {managed} managed"


def _managed(peer: Peer) -> int:
    try:
        return peer.list_running()
    except Exception:
        return 0


def _quietly(close: Callable[[], None], figures: Figures) -> None:
    try:
        close()
    except Exception as error:
        figures.missing["close"] = f"{type(error).__name__}: {error}"
