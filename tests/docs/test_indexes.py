"""Lists in the docs are whole: pages in their index, decisions by number, what `make` and the variables of long tests can do."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import ROOT, name_of, pages

_DECISIONS: Final = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("folder", ["docs/how-to", "docs/explanation", "docs/adr"])
def test_an_index_names_each_page_of_its_folder_once(folder: str) -> None:
    index = ROOT / folder / "README.md"
    named = re.findall(r"^- \[[^]]+\]\(([\w-]+\.md)\)", index.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in index.parent.glob("*.md") if path.name not in {"README.md", "template.md"})


def test_decisions_are_numbered_without_a_gap_or_a_double() -> None:
    assert [int(path.name[:4]) for path in _DECISIONS] == list(range(1, len(_DECISIONS) + 1))


@pytest.mark.parametrize("path", _DECISIONS, ids=name_of)
def test_a_decision_has_the_number_of_its_file_and_a_status(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {path.name[:4]}. ")
    assert re.fullmatch(r"Date: \d{4}-\d\d-\d\d · Status: (accepted|superseded by \[\d{4}\]).*", lines[2])


def test_each_make_target_that_is_named_is_there_and_each_is_named_by_contributing() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    today = [page for page in pages() if "adr" not in page.parts]
    named = {name_of(page): set(re.findall(r"`make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"))) for page in today}
    assert not {page: names - targets for page, names in named.items() if names - targets}
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert not {target for target in targets if not re.search(rf"\bmake {target}\b", contributing)}


def test_each_variable_that_makes_a_test_longer_is_named_by_contributing_and_no_other() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    read = set(re.findall(r"^[A-Z_]+\b.*= .*environ\.get\(\"([A-Z_]+)\"|^[A-Z_]+\b.*= .*\"([A-Z_]+)\" in os\.environ", tests, re.MULTILINE))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {one or other for one, other in read} == set(re.findall(r"`([A-Z][A-Z_]+)=\d+ pytest", contributing))
