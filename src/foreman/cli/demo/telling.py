"""What the demos show: a progress bar while they run, a table of what happened at the end, and the digests that decide."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from foreman.cli.demo.tree import Expected
from foreman.cli.demo.verifying import Verdict

WIDTH: Final = 110


@dataclass(slots=True)
class Told:
    """The rows of the table. ``headings``: the first is what happened, the last how it went, all between are times in seconds."""

    headings: tuple[str, ...] = ("WHAT HAPPENED", "TOOK", "OUTCOME")
    width: int = WIDTH
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, what: str, began: float, how: str, *more_s: float) -> None:
        """``began``: by time.monotonic(). ``more_s``: for the columns of times after the first."""
        times = [f"{seconds:.2f} s" for seconds in (time.monotonic() - began, *more_s)]
        times += [""] * (len(self.headings) - 2 - len(times))
        self.rows.append((what, *times, how))

    def print(self, verdicts: Sequence[Verdict], expected: Expected) -> None:
        """The table and the verdicts, on stdout."""
        table = Table(box=None, pad_edge=False, width=self.width)
        for number, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if 0 < number < len(self.headings) - 1 else "left")
        for row in self.rows:
            table.add_row(*row)
        Console(width=self.width).print(table, crop=False, no_wrap=True)
        longest = max(len(verdict.id) for verdict in verdicts)
        print(f"{'files':{longest}}  sha256 {expected.digest()}")
        for verdict in verdicts:
            print(f"{verdict.id:{longest}}  sha256 {verdict.digest}  {verdict.sentence}", flush=True)


def progress_on(console: Console) -> Progress:
    """Bars on a terminal, nothing elsewhere."""
    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
