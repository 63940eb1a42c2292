"""Every command in README and docs runs, on a real node, and says what the page shows."""

import re
import shutil
from pathlib import Path
from typing import Final

import pytest

from tests.docs.markdown import SHELL, Block, blocks, name_of, pages
from tests.docs.session import Session, commands_of

NOT_RUN: Final = 2
"""How many blocks are marked as not to be run. Each new one is a promise nobody keeps: count it here, on purpose."""
_PAGES: Final = [path for path in pages() if any(block.language in SHELL and block.not_run is None for block in blocks(path))]


def is_program(block: Block) -> bool:
    """A Python block that is complete: it runs by itself."""
    return block.language == "python" and not block.name and "asyncio.run(" in block.text


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", _PAGES, ids=name_of)
async def test_the_commands_of_a_page_do_what_it_shows(path: Path) -> None:
    async with Session() as session:
        for block in blocks(path):
            if block.not_run is not None:
                continue
            if block.name:
                session.write(block)
            if block.language in SHELL:
                _skip_what_is_not_installed(block)
                await session.run(block)
            elif is_program(block):
                program = Block(block.page, block.line, "python", "program.py", block.text, None)
                session.write(program)
                await session.run(Block(block.page, block.line, "sh", "", "python3 program.py\n", None))


def test_what_is_not_run_says_why_and_is_counted() -> None:
    marked = [block for path in pages() for block in blocks(path) if block.not_run is not None]
    assert not [block.where for block in marked if len(block.not_run or "") < 15], "say why"
    assert len(marked) == NOT_RUN, [f"{block.where}: {block.not_run}" for block in marked]


def test_every_block_says_what_it_is() -> None:
    assert not [block.where for path in pages() for block in blocks(path) if not block.language]


def _skip_what_is_not_installed(block: Block) -> None:
    for command in commands_of(block):
        for word in ("redis-cli", "redis-server", "curl", "openssl", "jq", "etcd", "etcdctl"):
            if re.search(rf"\b{word}\b", command.text) and shutil.which(word) is None:
                pytest.skip(f"{word} is not installed")
