"""Many seeds of a simulator, on all cores, with progress: ``python -m foreman.testing.simulate --seeds 100000``, or with ``--cluster``.

Without it one node's machine runs through hostile worlds; with it whole clusters do. A seed that breaks a promise prints its transcript
and ends the run with exit code 1; ``--seed N`` replays one.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

from foreman.testing import cluster_simulator, simulator
from foreman.testing.cluster_simulator.transcript import shown

CHUNK: Final = 250
CHUNK_OF_CLUSTERS: Final = 25


@dataclass(frozen=True, slots=True)
class Kind:
    """``steps`` runs a seed and counts what happened; ``transcript`` runs it and tells. Both raise ``broken``."""

    steps: Callable[[int], int]
    transcript: Callable[[int], str]
    broken: type[Exception]
    chunk: int


KINDS: Final = {
    "node": Kind(
        lambda seed: len(simulator.simulate(seed).transcript),
        lambda seed: "\n".join(simulator.simulate(seed).transcript),
        simulator.Violation,
        CHUNK,
    ),
    "cluster": Kind(
        lambda seed: cluster_simulator.simulate(seed).messages,
        lambda seed: shown(cluster_simulator.simulate(seed).transcript),
        cluster_simulator.BrokenPromise,
        CHUNK_OF_CLUSTERS,
    ),
}


def run_chunk(kind: str, first: int, last: int) -> tuple[int, str | None]:
    """The number of steps taken, and the transcript of the first seed that breaks a promise."""
    steps = 0
    for seed in range(first, last):
        try:
            steps += KINDS[kind].steps(seed)
        except KINDS[kind].broken as broken:
            return steps, str(broken)
    return steps, None


def run(kind: str, seeds: int, first: int) -> int:
    """All seeds from ``first`` on; the exit code."""
    began, done, steps, chunk = time.monotonic(), 0, 0, KINDS[kind].chunk
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        last = first + seeds
        chunks = {pool.submit(run_chunk, kind, at, min(at + chunk, last)): at for at in range(first, last, chunk)}
        for future in as_completed(chunks):
            taken, broken = future.result()
            done, steps = min(done + chunk, seeds), steps + taken
            if broken is not None:
                pool.shutdown(cancel_futures=True)
                print(f"\n{broken}")
                return 1
            if sys.stderr.isatty():
                print(
                    f"\r{done:,} of {seeds:,} seeds, {steps:,} steps, {time.monotonic() - began:.0f} s", end="", flush=True, file=sys.stderr
                )
    print(f"\nevery promise held in {seeds:,} seeds and {steps:,} steps")
    return 0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="simulate", description="Run the real machine, or whole clusters, through seeded hostile worlds.")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds (default: 10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one and print its transcript")
    parser.add_argument("--cluster", action="store_true", help="whole clusters instead of one node's machine")
    options = parser.parse_args()
    kind = "cluster" if options.cluster else "node"
    if options.seed is None:
        return run(kind, options.seeds, options.first)
    try:
        print(KINDS[kind].transcript(options.seed))
    except KINDS[kind].broken as broken:
        print(broken)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
