"""The bell rings when a writer closes it, and when the kernel closes it for a writer that was killed."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreman.directory.sqlite.bell import BellListener, ringing

KILLED_BEFORE_IT_RINGS = """
import os, signal, sys
from foreman.directory.sqlite.bell import ringing
with ringing(sys.argv[1]):
    print("holds", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "bell")


@pytest.fixture
def listener(path: str) -> Iterator[BellListener]:
    listener = BellListener(path)
    yield listener
    listener.close()
    listener.close()


def rings_within(listener: BellListener, seconds: float) -> bool:
    return bool(select.select([listener], [], [], seconds)[0])


def test_it_rings_when_the_block_is_left_and_not_before(listener: BellListener, path: str) -> None:
    with ringing(path):
        assert not rings_within(listener, 0)
        assert not listener.heard()
    assert rings_within(listener, 5)
    assert listener.heard()
    assert not listener.heard()


def test_it_rings_for_a_writer_killed_before_it_could(listener: BellListener, path: str) -> None:
    writer = subprocess.run([sys.executable, "-c", KILLED_BEFORE_IT_RINGS, path], stdout=subprocess.PIPE, check=False)
    assert writer.stdout == b"holds\n"
    assert writer.returncode == -signal.SIGKILL
    assert rings_within(listener, 5)
    assert listener.heard()


def test_every_listener_hears_it(listener: BellListener, path: str) -> None:
    other = BellListener(path)
    with ringing(path):
        pass
    assert rings_within(other, 5)
    assert rings_within(listener, 5)
    other.close()


@pytest.mark.parametrize("remove", [os.unlink, lambda path: os.rename(path, f"{path}-away")], ids=["deleted", "renamed"])
def test_a_bell_that_is_gone_counts_as_rung_and_is_made_again(listener: BellListener, path: str, remove: object) -> None:
    assert callable(remove)
    remove(path)
    assert rings_within(listener, 5)
    assert listener.heard()
    assert os.path.exists(path)
    with ringing(path):
        pass
    assert rings_within(listener, 5)


def test_a_bell_that_cannot_be_made_again_is_an_error(listener: BellListener, path: str, tmp_path: Path) -> None:
    os.unlink(path)
    os.rmdir(tmp_path)
    assert rings_within(listener, 5)
    with pytest.raises(FileNotFoundError):
        listener.heard()
    tmp_path.mkdir()


def test_many_rings_are_heard_as_one(listener: BellListener, path: str) -> None:
    for _ in range(500):
        with ringing(path):
            pass
    assert listener.heard()
    assert not listener.heard()
