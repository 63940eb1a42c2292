"""What a Markdown page holds that can be checked: fenced blocks with what is said about them, and links.

<!-- not run: REASON -->      before a fence: its commands cannot be run in a test, and why
```toml foreman.toml          a block with a name is a file: it is written before what follows runs
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SHELL: Final = ("console", "sh")
_FENCE: Final = re.compile(r"^\s*(`{3,}|~{3,})\s*(\w*)\s*(.*?)\s*$")
_NOT_RUN: Final = re.compile(r"^\s*<!-- not run: (.+?) -->\s*$")
_LINK: Final = re.compile(r"!?\[(?:[^\]]*)\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+\s+(.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """``line``: of its fence. ``name``: the file it is, or empty. ``not_run``: why its commands are not run, or None."""

    page: str
    line: int
    language: str
    name: str
    text: str
    not_run: str | None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README, CONTRIBUTING and everything under docs, except what others' programs write."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if "benchmarks" not in path.parts]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[Block]:
    """The fenced blocks in order. An open fence at the end is an error."""
    found: list[Block] = []
    fence = language = name = ""
    started, content = 0, list[str]()
    reason: str | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _FENCE.match(line)
        if fence and match is not None and match[1].startswith(fence) and not match[2]:
            found.append(Block(name_of(path), started, language, name, "\n".join(content) + "\n", reason))
            fence, reason = "", None
        elif fence:
            content.append(line)
        elif match is not None:
            fence, language, name, started, content = match[1], match[2], match[3], number, []
        elif (said := _NOT_RUN.match(line)) is not None:
            reason = said[1]
        elif line.strip():
            reason = None
    assert not fence, f"{name_of(path)}:{started}: this block does not end"
    return found


def prose(path: Path) -> list[tuple[int, str]]:
    """The lines outside of blocks, with their numbers."""
    lines, fence = [], ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _FENCE.match(line)
        if match is not None and (not fence or match[1].startswith(fence)):
            fence = "" if fence else match[1]
        elif not fence:
            lines.append((number, line))
    return lines


def links(path: Path) -> list[tuple[int, str]]:
    """Line and target of every link outside of blocks and code."""
    return [(number, match[1]) for number, line in prose(path) for match in _LINK.finditer(re.sub(r"`[^`]*`", "`", line))]


def anchors(path: Path) -> set[str]:
    """What a link into this page can name, as GitHub makes it from the headings."""
    found: set[str] = set()
    for _, line in prose(path):
        if (match := _HEADING.match(line)) is not None:
            words = re.sub(r"[^\w\- ]", "", match[1].replace("`", "").lower())
            found.add(words.replace(" ", "-"))
    return found
