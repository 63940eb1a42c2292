"""On which line of a TOML text a key stands. tomllib keeps no positions, and an error without a line is no help. Pure.

A scanner of headers and keys, not a parser: it runs on texts that tomllib has accepted. What it cannot find (a key inside an
inline table) is answered with the line of the nearest thing around it.
"""

import re
from typing import Final

_HEADER: Final = re.compile(r"\s*\[\[?\s*(?P<keys>[^\]]+?)\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT: Final = re.compile(r"""\s*(?P<keys>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART: Final = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_FENCES: Final = ('"""', "'''")


def line_of(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) of the key at ``path``, or of the nearest key or header around it; 1 when there is none."""
    best, best_depth = 1, 0
    for number, found in _places(text):
        depth = _shared(found, path)
        around, within = depth == len(found), depth == len(path)
        if (around or within) and depth > best_depth:
            best, best_depth = number, depth
    return best


def _places(text: str) -> list[tuple[int, tuple[str, ...]]]:
    table: tuple[str, ...] = ()
    places: list[tuple[int, tuple[str, ...]]] = []
    fence: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if fence is not None:
            fence = None if fence in line else fence
            continue
        if header := _HEADER.fullmatch(line):
            table = _parts(header.group("keys"))
            places.append((number, table))
        elif assignment := _ASSIGNMENT.match(line):
            places.append((number, (*table, *_parts(assignment.group("keys")))))
            fence = next((mark for mark in _FENCES if line.count(mark) == 1), None)
    return places


def _parts(keys: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(keys))


def _shared(found: tuple[str, ...], path: tuple[str, ...]) -> int:
    """How many leading parts are the same."""
    for depth, (one, other) in enumerate(zip(found, path, strict=False)):
        if one != other:
            return depth
    return min(len(found), len(path))
