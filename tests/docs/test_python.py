"""Python in README and docs is Python, and what it imports from foreman is there. Complete programs run in test_commands."""

import ast
import importlib
from typing import Final

import pytest

from tests.docs.markdown import Block, blocks, pages

_BLOCKS: Final = [block for path in pages() for block in blocks(path) if block.language == "python"]


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: block.where)
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: block.where)
def test_what_it_imports_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "foreman":
            module = importlib.import_module(node.module)
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)], node.module
