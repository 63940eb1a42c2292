"""The ten main stories word for word. A change of behaviour shows here as a diff to be read; write anew: python -m tests.golden.stories"""

import pytest

from tests.golden.stories import HERE, STORIES, Script, tell


@pytest.mark.parametrize("script", STORIES, ids=lambda script: script.__name__)
def test_the_story_is_told_as_written(script: Script) -> None:
    assert tell(script) == (HERE / f"{script.__name__}.txt").read_text()


def test_no_story_is_written_and_not_told() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {script.__name__ for script in STORIES}
