"""The pictures show what the program says: SVG drawn from text, text as the program gives it today."""

import shutil
from typing import Final

import pytest

from docs.pictures import IMAGES, TITLES, draw
from tests.docs.markdown import Block
from tests.docs.session import Session

_UP: Final = "$ foreman up\nforeman …\nin another terminal: …\n"


@pytest.mark.parametrize("name", sorted(TITLES))
def test_a_picture_is_drawn_from_its_text(name: str) -> None:
    assert (IMAGES / f"{name}.svg").read_text(encoding="utf-8") == draw(name), "run `python docs/pictures.py` and commit"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", sorted(TITLES))
async def test_the_text_is_what_the_program_says(name: str) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    text = (IMAGES / f"{name}.txt").read_text(encoding="utf-8").replace("$ foreman demo\n", "$ foreman demo 2>/dev/null\n")
    async with Session() as session:
        if name != "demo":
            await session.run(Block("up", 0, "console", "", _UP, None))
        await session.run(Block(f"docs/images/{name}.txt", 1, "console", "", text, None))
