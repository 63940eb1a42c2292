"""How things are printed: tables for people, JSON for programs. Rich is loaded only when a terminal is there to be rich on."""

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from foreman.core.views import HealthChanged, NodeEvent, WorkerChanged, WorkerInfo, WorkerRemoved

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

STYLES: Final = {
    "ok": "green", "running": "green", "starting": "yellow", "waiting": "yellow", "preparing": "yellow", "backing_off": "yellow",
    "unknown": "yellow", "stopping": "yellow", "failed_to_start": "bold red", "failed": "bold red", "error": "bold red",
    "unusable": "bold red", "stopped": "dim", "finished": "dim", "removing": "dim",
}  # fmt: skip
Row = Sequence[str]


def print_json(value: Any) -> None:
    """Indented, because people look at it too."""
    import msgspec

    from foreman.api.wire import encode

    write(msgspec.json.format(encode(value), indent=2).decode() + "\n")


def write(text: str) -> None:
    """At once: what follows a stream must not wait for a full buffer."""
    sys.stdout.write(text)
    sys.stdout.flush()


def print_table(titles: Row, rows: Sequence[Row], *, empty: str = "") -> None:
    """Aligned columns; with colours on a terminal. ``empty`` is said instead when there is no row."""
    if not rows and empty:
        print(empty)
    elif sys.stdout.isatty():
        _print_rich(titles, rows)
    else:
        write("".join(line + "\n" for line in plain_table(titles, rows)))


def plain_table(titles: Row, rows: Sequence[Row]) -> list[str]:
    """The table as lines of text, for pipes and files."""
    every = [list(titles), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in every) for column in range(len(titles))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]


def _print_rich(titles: Row, rows: Sequence[Row]) -> None:
    from rich.console import Console

    Console().print(rich_table(titles, rows))


def rich_table(titles: Row, rows: Sequence[Row]) -> Any:
    """The same table for a terminal. Cells are text, never markup: what a worker says cannot colour the screen."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(one_line(cell), style=STYLES.get(cell.partition("(")[0], "")) for cell in row))
    return table


def one_line(text: str) -> str:
    """Without line ends and other control characters: what a worker says cannot steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def worker_row(info: WorkerInfo) -> Row:
    """Under WORKER_TITLES."""
    return (
        info.id, info.kind, info.state, str(info.health), str(info.pid or "-"), str(info.restarts), uptime(info),
        info.endpoint or "-", info.status_text or "-",
    )  # fmt: skip


WORKER_TITLES: Final = ("ID", "KIND", "STATE", "HEALTH", "PID", "RESTARTS", "UPTIME", "ENDPOINT", "STATUS")


def uptime(info: WorkerInfo) -> str:
    """By the wall clock: for people, nothing is decided by it."""
    return "-" if info.started_at is None or info.pid is None else duration(time.time() - info.started_at)


def duration(seconds: float) -> str:
    """The two largest units: ``3d 4h``, ``5m 6s``, ``7s``."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def moment(at: float) -> str:
    """Local time with milliseconds."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03d}"


def event_row(event: NodeEvent) -> Row:
    """When, about what, and what happened."""
    match event:
        case WorkerChanged():
            came_from = f"{event.previous_state} → " if event.previous_state and event.previous_state != event.state else ""
            return (moment(event.at), event.id, f"{came_from}{event.state}", str(event.health), event.reason)
        case WorkerRemoved():
            return (moment(event.at), event.id, "removed", "-", "")
        case HealthChanged():
            return (moment(event.at), "(node)", "health", str(event.health), f"was {event.previous}")
