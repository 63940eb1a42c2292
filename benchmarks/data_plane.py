"""``make bench-data``: log and storage workers beside Debian's redis-server in the same run, redis-benchmark as the client of both.

Each row is measured in turn, ours and theirs, over several rounds; what counts is the ratio of the medians. Appends are 1 kB and durable
(`appendfsync always`); reads are of 200,000 keys of 3 bytes, drawn at random. Everything listens on Unix sockets of one file system. Then
what has no peer (alone.py): catching up and a cold start.
"""

import argparse
import asyncio
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.alone import catch_up, cold_start
from benchmarks.facts import machine
from foreman import Clear, Foreman, LogClient, Set, StorageClient
from foreman.core.interface import ForemanInterface
from foreman.workers.wire.transactions import encode_transaction

ROOT: Final = Path(__file__).resolve().parents[1]
KEYS: Final = 200_000
VALUE: Final = b"xxx"
APPEND: Final = encode_transaction([Clear(b"k" * 1018)])
"""1,024 bytes without a zero among them: redis-benchmark ends its argument at the first."""
PER_TRANSACTION: Final = 1000


@dataclass(frozen=True)
class Row:
    """``ours`` and ``theirs``: the command after redis-benchmark's options. ``target``: the ratio to reach."""

    title: str
    options: tuple[str, ...]
    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    target: float
    appends: bool


_PUSH, _RPUSH = ("-x", "PUSH", "0", "*", "*"), ("-x", "RPUSH", "list")
_GET: Final = ("-r", str(KEYS), "GET", "key:__rand_int__")
ROWS: Final = (
    Row("durable append of 1 kB, 32 clients", ("-c", "32", "-n", "100000"), _PUSH, _RPUSH, 1.0, appends=True),
    Row("the same, pipelined 16", ("-c", "32", "-P", "16", "-n", "300000"), _PUSH, _RPUSH, 0.8, appends=True),
    Row("the same, one client", ("-c", "1", "-n", "20000"), _PUSH, _RPUSH, 0.8, appends=True),
    Row("GET of 200,000 keys, 32 clients", ("-c", "32", "-n", "300000"), _GET, _GET, 0.85, appends=False),
    Row("the same, pipelined 16", ("-c", "32", "-P", "16", "-n", "1500000"), _GET, _GET, 0.3, appends=False),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, and write or print the table."""
    parser = argparse.ArgumentParser(prog="make bench-data", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-docs", action="store_true", help="print only; leave docs/benchmarks as it is")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="fb") as scratch:
        found = asyncio.run(_measure(Path(scratch), options.rounds))
        alone = asyncio.run(_alone(Path(scratch), options.rounds))
    page = _page(found, alone)
    if not options.no_docs:
        (ROOT / "benchmarks/results").mkdir(exist_ok=True)
        (ROOT / "benchmarks/results/data_plane.json").write_text(
            json.dumps({"beside redis": found, "alone": alone}, indent=1), encoding="utf-8"
        )
        (ROOT / "docs/benchmarks/data-plane.md").write_text(page, encoding="utf-8")
    print(page)
    return 0


async def _alone(scratch: Path, rounds: int) -> dict[str, dict[str, Any]]:
    return {"catch_up": await catch_up(scratch), "cold_start": await cold_start(scratch, rounds)}


async def _measure(scratch: Path, rounds: int) -> list[dict[str, Any]]:
    payload = scratch / "payload"
    payload.write_bytes(APPEND)
    found: list[dict[str, Any]] = [{"title": row.title, "target": row.target, "ours": [], "theirs": []} for row in ROWS]
    async with Foreman.open(scratch / "data", cluster="bench") as foreman, _redis(scratch / "redis") as redis:
        log = await _new(foreman, "log_1", "log", {})
        source = await _new(foreman, "log_2", "log", {})
        storage = await _new(foreman, "storage_1", "storage", {"logs": ["log_2"]})
        await _fill_storage(foreman, source)
        await _run(
            ["redis-benchmark", "-q", "-s", redis, "-P", "100", "-n", str(KEYS * 5), "-r", str(KEYS), "SET", "key:__rand_int__", "xxx"]
        )
        for _ in range(rounds):
            for row, result in zip(ROWS, found, strict=True):
                ours = log if row.appends else storage
                result["ours"].append(await _benchmark(ours, row, row.ours, payload))
                result["theirs"].append(await _benchmark(redis, row, row.theirs, payload))
    return found


async def _new(foreman: ForemanInterface, id: str, kind: str, params: dict[str, Any]) -> str:
    await foreman.new_worker(id, kind, params)
    endpoint = (await foreman.info(id)).endpoint
    assert endpoint is not None
    return endpoint.removeprefix("unix:")


async def _fill_storage(foreman: ForemanInterface, source: str) -> None:
    keys = [b"key:%012d" % number for number in range(KEYS)]
    async with LogClient.connect(f"unix:{source}") as log:
        for version, at in enumerate(range(0, KEYS, PER_TRANSACTION), 1):
            await log.push(version, version - 1, [Set(key, VALUE) for key in keys[at : at + PER_TRANSACTION]])
    async with StorageClient.connect((foreman, "storage_1"), timeout=60) as storage:
        assert await storage.get(keys[-1], version=KEYS // PER_TRANSACTION) == VALUE


@asynccontextmanager
async def _redis(folder: Path) -> Any:
    folder.mkdir()
    socket = str(folder / "redis.sock")
    arguments = ["--port", "0", "--unixsocket", socket, "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always"]
    more = ["--save", "", "--auto-aof-rewrite-percentage", "0"]
    process = await asyncio.create_subprocess_exec("redis-server", *arguments, *more, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        while b"ready to accept connections" not in (await process.stdout.readline()).lower():
            pass
        yield socket
    finally:
        process.terminate()
        await process.communicate()


async def _benchmark(socket: str, row: Row, command: tuple[str, ...], payload: Path) -> dict[str, float]:
    said = await _run(["redis-benchmark", "--csv", "--precision", "3", "-s", socket, *row.options, *command], payload)
    last = list(csv.DictReader(line for line in said.splitlines() if line.startswith('"')))[-1]
    return {"per_s": float(last["rps"]), "p50_ms": float(last["p50_latency_ms"]), "p99_ms": float(last["p99_latency_ms"])}


async def _run(arguments: list[str], payload: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(payload.read_bytes() if payload else None)
    if process.returncode:
        raise RuntimeError(f"{arguments[0]}: {err.decode(errors='replace')}")
    return out.decode()


def _page(found: list[dict[str, Any]], alone: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# The data plane beside redis-server",
        "",
        f"`make bench-data`, on {', '.join(f'{name} {value}' for name, value in machine().items())}.",
        "",
    ]
    lines += ["| | redis-server | p50 / p99, ms | worker | p50 / p99, ms | ratio | at least | |", "|---|---|---|---|---|---|---|---|"]
    for row in found:
        ours, theirs = _median(row["ours"]), _median(row["theirs"])
        ratio = ours["per_s"] / theirs["per_s"]
        mark = _mark(ratio >= row["target"])
        lines.append(f"| {row['title']} | {_cells(theirs)} | {_cells(ours)} | {ratio:.2f} | {row['target']} | {mark} |")
    lines += ["", "Medians over the rounds of one run. Machines differ and are noisy: what counts is the ratio.", ""]
    caught, cold = alone["catch_up"], alone["cold_start"]
    times = cold["start_s"] / cold["read_s"]
    rate, read, start = (f"{value:,.2f}" for value in (caught["per_s"] / 1e3, cold["read_s"], cold["start_s"]))
    lines += ["| alone | | target | |", "|---|---|---|---|"]
    lines.append(f"| {caught['title']} | {rate} thousand mutations/s | 100 | {_mark(caught['per_s'] >= caught['target'])} |")
    lines.append(
        f"| {cold['title']} of {cold['size_bytes'] / 1e9:.1f} GB | {start} s, {times:.2f} times reading its files ({read} s) "
        f"| {cold['target']} times | {_mark(times <= cold['target'])} |"
    )
    lines += [
        "",
        "The best of the rounds for the cold start, nothing of the files in the page cache.",
        "[Where the time goes](../explanation/where-the-time-goes.md) has the profile, and what was tried.",
        "",
    ]
    return "\n".join(lines)


def _mark(reached: bool) -> str:  # noqa: FBT001 - it is the value, not a switch
    return "✓" if reached else "✗"


def _median(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def _cells(figures: dict[str, float]) -> str:
    return f"{figures['per_s']:,.0f}/s | {figures['p50_ms']:.2f} / {figures['p99_ms']:.2f}"


if __name__ == "__main__":
    sys.exit(main())
