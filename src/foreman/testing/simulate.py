"""Many seeds of the simulator, on all cores, with progress: ``python -m foreman.testing.simulate --seeds 100000``.

A seed that breaks a promise prints its transcript and ends the run with exit code 1; ``--seed N`` replays one.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Final

from foreman.testing.simulator import Violation, simulate

CHUNK: Final = 250


def run_chunk(first: int, last: int) -> tuple[int, str | None]:
    """The number of steps taken, and the transcript of the first seed that breaks a promise."""
    steps = 0
    for seed in range(first, last):
        try:
            steps += len(simulate(seed).transcript)
        except Violation as violation:
            return steps, str(violation)
    return steps, None


def run(seeds: int, first: int) -> int:
    """All seeds from ``first`` on; the exit code."""
    began, done, steps = time.monotonic(), 0, 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        chunks = {pool.submit(run_chunk, at, min(at + CHUNK, first + seeds)): at for at in range(first, first + seeds, CHUNK)}
        for future in as_completed(chunks):
            taken, broken = future.result()
            done, steps = min(done + CHUNK, seeds), steps + taken
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
    parser = argparse.ArgumentParser(prog="simulate", description="Run the real machine through seeded hostile worlds.")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds (default: 10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one and print its transcript")
    options = parser.parse_args()
    if options.seed is None:
        return run(options.seeds, options.first)
    try:
        print("\n".join(simulate(options.seed).transcript))
    except Violation as violation:
        print(violation)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
