"""A link in README and docs leads somewhere, and what is quoted from the repository is there."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import ROOT, anchors, links, name_of, pages, prose

_PAGES: Final = pages()
_OURS: Final = re.compile(r"^(src/foreman|tests|docs|benchmarks)/[\w./-]+$")


@pytest.mark.parametrize("path", _PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for line, target in links(path):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(f"{name_of(path)}:{line}: {target}")
    assert not broken


@pytest.mark.parametrize("path", [path for path in _PAGES if "adr" not in path.parts], ids=name_of)
def test_files_that_are_named_are_there(path: Path) -> None:
    """A record of a decision is about its day; every other page is about today."""
    missing = []
    for line, text in prose(path):
        for word in re.findall(r"`([^`\s]+)`", text):
            file = word.partition("::")[0]
            if _OURS.match(file) and not (ROOT / file).exists():
                missing.append(f"{name_of(path)}:{line}: {file}")
    assert not missing


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, left = set[Path](), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in seen:
            continue
        seen.add(page)
        for _, target in links(page):
            there = (page.parent / target.partition("#")[0]).resolve()
            if there.is_dir():
                left += there.glob("*.md")
            elif there.suffix == ".md" and there.exists():
                left.append(there)
    assert not {name_of(path) for path in _PAGES} - {name_of(path) for path in seen}
