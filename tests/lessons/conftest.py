"""Nodes with the kinds of these tests, and quiet logs."""

from pathlib import Path

import pytest

from foreman.bootstrap.logs import configure_logs


@pytest.fixture(autouse=True)
def quiet() -> None:
    configure_logs("error")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory to be made."""
    return tmp_path / "data"
