"""The project's own text as the structure tests see it: files, their syntax trees, their functions, what git holds."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class SourceFile:
    """One Python file: its path from the root, its lines and its tree."""

    path: str
    lines: tuple[str, ...]
    tree: ast.Module


@dataclass(frozen=True)
class Function:
    """One function: where it stands, and how many lines are its own (docstring and nested functions not counted)."""

    where: str
    node: FunctionNode
    lines: int


@cache
def python_files(folder: str) -> tuple[SourceFile, ...]:
    """Every Python file under a folder of the project, sorted by path."""
    files = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        files.append(SourceFile(str(path.relative_to(ROOT)), tuple(text.splitlines()), ast.parse(text, str(path))))
    return tuple(files)


def functions(file: SourceFile) -> Iterator[Function]:
    """Every function of a file, nested ones too."""
    for node in ast.walk(file.tree):
        if isinstance(node, FunctionNode):
            yield Function(f"{file.path}:{node.lineno} {node.name}", node, _own_lines(node))


def _own_lines(node: FunctionNode) -> int:
    first = node.body[0]
    start = node.lineno
    own = _length(node, start)
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        own -= _length(first, first.lineno)
    nested = [inner for inner in ast.walk(node) if isinstance(inner, FunctionNode) and inner is not node]
    outermost = [inner for inner in nested if not any(inner is not other and inner in ast.walk(other) for other in nested)]
    return own - sum(_length(inner, inner.lineno) for inner in outermost)


def _length(node: ast.stmt, start: int) -> int:
    return (node.end_lineno or start) - start + 1


@cache
def committed_files() -> tuple[Path, ...]:
    """Every file that git holds; without a repository (an unpacked source archive) every file there is."""
    listing = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=False)
    if listing.returncode != 0:
        return tuple(path for path in ROOT.rglob("*") if path.is_file())
    names = listing.stdout.decode().split("\0")
    return tuple(path for name in names if name and (path := ROOT / name).is_file())
