"""The core, the kernel room and the supervisor use the standard library alone; import-linter knows only the names it is told."""

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.structure.source import SourceFile, python_files


@pytest.mark.parametrize("room", ["core", "kernel", "supervisor"])
def test_nothing_bought_is_imported(room: str) -> None:
    bought = [
        f"{file.path}: {name}"
        for file in python_files(f"src/foreman/{room}")
        for name in _imported(file)
        if name not in sys.stdlib_module_names and name != "foreman"
    ]
    assert not bought


def _imported(file: SourceFile) -> Iterator[str]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{file.path}:{node.lineno}: relative import"
            assert not node.level, f"{file.path}:{node.lineno}: relative import"
            yield node.module.partition(".")[0]
