"""What is committed belongs to no machine and names no package registry: it installs from whatever registry a user has set."""

import re
import tomllib
from typing import Final

import pytest

from tests.structure.source import ROOT, committed_files

# Written in pieces, so that this file does not name what it forbids.
REGISTRY_HOSTS: Final = [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "npm" + r"js\.(org|com)",
    "deb" + r"\.debian\.org",
    "(security|archive|ftp)" + r"(\.\w+)?\.debian\.org",
    "proxy" + r"\.golang\.org",
    "crates" + r"\.io",
]
MACHINE_PATHS: Final = [r"(?<![\w.}\-])/wo" + r"rk/", r"(?<![\w.}\-])/ro" + r"ot/", r"(?<![\w.}\-])/ho" + r"me/[a-z]+/"]
LARGEST_TEXT_BYTES: Final = 4 << 20


@pytest.mark.parametrize("pattern", REGISTRY_HOSTS)
def test_no_registry_is_named(pattern: str) -> None:
    assert not _files_with(pattern)


@pytest.mark.parametrize("pattern", MACHINE_PATHS)
def test_no_path_of_a_machine_is_named(pattern: str) -> None:
    assert not _files_with(pattern)


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_pins_carry_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*--?(i|index-url|extra-index-url|find-links|trusted-host)\b", text, re.MULTILINE)
    for pin in re.split(r"\n(?=[a-z0-9])", text.partition("\n")[2]):
        assert pin.startswith("#") or "--hash=sha256:" in pin, pin.splitlines()[0]


def test_each_dependency_is_pinned_and_both_files_agree() -> None:
    runtime, dev = _pins("runtime"), _pins("dev")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {_name(line) for line in declared["dependencies"]} <= set(runtime)
    assert {_name(line) for line in declared["optional-dependencies"]["dev"]} <= set(dev)
    assert runtime.items() <= dev.items()


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!~\[;]", requirement, maxsplit=1)[0].lower()


def _files_with(pattern: str) -> list[str]:
    wanted = re.compile(pattern.encode(), re.IGNORECASE)
    return [
        str(path.relative_to(ROOT))
        for path in committed_files()
        if path.stat().st_size <= LARGEST_TEXT_BYTES and wanted.search(path.read_bytes())
    ]
