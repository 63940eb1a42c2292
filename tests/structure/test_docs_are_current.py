"""Pages made from tables in the code are committed as the code says today."""

import pytest

from docs.generate import HERE, PAGES


@pytest.mark.parametrize("path", sorted(PAGES))
def test_the_committed_page_is_what_the_code_says(path: str) -> None:
    assert (HERE / path).read_text(encoding="utf-8") == PAGES[path](), "run `make docs` and commit"
