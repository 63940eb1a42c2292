"""``make bench``: rounds side by side over Foreman, the baselines and whichever peers are installed."""

import argparse
import datetime as dt
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.against.bare import BareExec, BareFork
from benchmarks.against.circus import Circus
from benchmarks.against.foreman_node import ForemanNode
from benchmarks.against.pm2 import Pm2
from benchmarks.against.ray import Ray
from benchmarks.against.runit import Runit
from benchmarks.against.s6 import S6
from benchmarks.against.supervisord import Supervisord
from benchmarks.beacon import Beacon
from benchmarks.facts import machine
from benchmarks.install import peers_folder
from benchmarks.peer import Peer, Setup
from benchmarks.report import markdown, summarise, write
from benchmarks.rounds import QUICK, Plan, measure
from benchmarks.scale import SIZES, measure_scale
from benchmarks.scale import markdown as scale_markdown

ROOT: Final = Path(__file__).resolve().parents[1]
ALL: Final[tuple[type[Peer], ...]] = (ForemanNode, BareExec, BareFork, Supervisord, Circus, Pm2, Runit, S6, Ray)


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    peers = peers_folder()
    if options.scale:
        return _scale(SIZES[:2] if options.quick else SIZES, peers, in_docs=not options.no_docs)
    chosen = {kind: version for kind in ALL if kind.name in options.only and (version := kind.version(peers)) is not None}
    absent = [kind.name for kind in ALL if kind.name in options.only and kind not in chosen]
    if absent:
        print(f"not installed, left out (make bench-peers): {', '.join(absent)}", file=sys.stderr)
    plan = replace(QUICK if options.quick else Plan(), **({"workers": options.workers} if options.workers else {}))
    with tempfile.TemporaryDirectory(prefix="fb") as scratch:
        rounds = _rounds(list(chosen), plan, options.rounds or (1 if options.quick else 3), Path(scratch), peers)
    run = _gather(chosen, plan, rounds)
    if options.no_docs:
        print(markdown(run))
    else:
        write(run, ROOT / "benchmarks/results", ROOT / "docs/benchmarks")
        print((ROOT / "docs/benchmarks/node.md").read_text(encoding="utf-8"))
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round with 20 workers")
    parser.add_argument("--scale", action="store_true", help="instead: Foreman alone, from 10 to 1,000 workers")
    parser.add_argument("--rounds", type=int, help="rounds over all peers (3)")
    parser.add_argument("--workers", type=int, help="workers at once (100)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[kind.name for kind in ALL], help="peers, separated by commas")
    parser.add_argument("--no-docs", action="store_true", help="print the table and leave docs/benchmarks as it is")
    return parser.parse_args(argv)


def _rounds(chosen: list[type[Peer]], plan: Plan, count: int, scratch: Path, peers: Path) -> list[dict[str, Any]]:
    native = _compile(scratch)
    done: list[dict[str, Any]] = []
    with Beacon(scratch / "beacon") as beacon:
        for number in range(count):
            for kind in random.sample(chosen, len(chosen)):
                for program in (None, native) if kind.runs_native and native else (None,):
                    setup = Setup(scratch / f"{kind.name}{len(done)}", beacon.path, peers, program)
                    print(
                        f"round {number + 1} of {count}: {kind.title}{', native worker' if program else ''} …", file=sys.stderr, flush=True
                    )
                    done.append({"peer": kind.name, **asdict(measure(kind, setup, beacon, plan))})
    return done


def _scale(sizes: tuple[int, ...], peers: Path, *, in_docs: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="fb") as scratch, Beacon(Path(scratch) / "beacon") as beacon:
        page = scale_markdown(measure_scale(Setup(Path(scratch) / "scale", beacon.path, peers), beacon, sizes))
    if in_docs:
        (ROOT / "docs/benchmarks/scale.md").write_text(page, encoding="utf-8")
    print(page)
    return 0


def _compile(scratch: Path) -> Path | None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        print("no C compiler: the native worker is left out", file=sys.stderr)
        return None
    program = scratch / "native_worker"
    subprocess.run([compiler, "-O2", "-o", program, ROOT / "benchmarks/native_worker.c"], check=True)
    return program


def _gather(chosen: dict[type[Peer], str], plan: Plan, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    words: dict[str, dict[str, str]] = {}
    missing = []
    for each in rounds:
        words.setdefault(each["peer"], {}).update(each["words"])
        missing += [f"{each['peer']}, {row}: {why}" for row, why in each["missing"].items()]
    return {
        "day": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": machine(),
        "workers": plan.workers,
        "rounds_count": max(sum(1 for each in rounds if each["peer"] == kind.name and "create_s" in each["values"]) for kind in chosen),
        "titles": {kind.name: kind.title for kind in chosen},
        "versions": {kind.name: version for kind, version in chosen.items()},
        "summary": summarise(rounds),
        "words": words,
        "missing": sorted(set(missing)),
        "rounds": rounds,
    }


if __name__ == "__main__":
    sys.exit(main())
