"""Writes the pages that are made from tables in the code, so that page and code cannot differ.

``make docs`` writes them; a test compares them with what is committed. A page is a function here that returns its whole text.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from foreman.core.lifecycle import TABLE, Move, Row, State

HERE: Final = Path(__file__).resolve().parent
_NOTE: Final = "<!-- Made by `make docs`; edit the table in the code instead. -->"


def lifecycle() -> str:
    """The life of a worker: a diagram, and each row with its sentence."""
    lines = [_NOTE, "", "# The life of a worker", "", "```mermaid", "stateDiagram-v2"]
    lines += [f"    {_name(row.source)} --> {_name(row.target)}: {row.move.value}" for row in TABLE]
    lines += ["```", "", "| from | what happens | to | meaning |", "|---|---|---|---|"]
    lines += [f"| {_cell(row.source)} | {row.move.value} | {_cell(row.target)} | {row.sentence} |" for row in _by_source()]
    return "\n".join(lines) + "\n"


def _by_source() -> list[Row]:
    order: list[State | None] = [None, *State]
    moves = list(Move)
    return sorted(TABLE, key=lambda row: (order.index(row.source), moves.index(row.move)))


def _name(state: State | None) -> str:
    return "[*]" if state is None else state.value


def _cell(state: State | None) -> str:
    return "–" if state is None else f"`{state.value}`"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/lifecycle.md": lifecycle,
}


def main() -> int:
    for path, page in PAGES.items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(page(), encoding="utf-8")
        print(f"docs/{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
