"""Tests and files that a page names are there under these names; docs/mission.md and docs/lessons.md name one for each sentence."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import ROOT, name_of, pages

_PAGES: Final = ("docs/mission.md", "docs/lessons.md")
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_FILE: Final = re.compile(r"`((?:core|node|supervisor|workers|api|cli|control|directory|kernel|bootstrap|web|testing)/[\w./]*)`")
_ROW: Final = re.compile(r"^\| (?!---)(.+) \|$")


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))


@pytest.mark.parametrize("page", [name_of(page) for page in pages() if _TEST.search(page.read_text(encoding="utf-8"))])
def test_each_test_that_is_named_exists(page: str) -> None:
    named = _TEST.findall((ROOT / page).read_text(encoding="utf-8"))
    assert not [f"{file}::{name}" for file, name in named if not (ROOT / file).exists() or name not in names_in(ROOT / file)]


@pytest.mark.parametrize("page", _PAGES)
def test_each_row_names_a_proof(page: str) -> None:
    unproven = []
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        row = _ROW.match(line)
        if row is None or line.startswith(("| sentence", "| failure", "| done to it")):
            continue
        if not _TEST.search(line):
            unproven.append(f"{page}:{number}")
    assert not unproven


@pytest.mark.parametrize("page", [name_of(page) for page in pages() if _FILE.search(page.read_text(encoding="utf-8"))])
def test_each_file_that_is_named_exists(page: str) -> None:
    named = _FILE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert not [file for file in named if not (ROOT / "src/foreman" / file).exists()]
