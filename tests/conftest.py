"""What every test has: no process outlives it, and the slow folders are marked so that `make check` can leave them out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest
from hypothesis import HealthCheck, settings

_SLOW_FOLDERS: Final = frozenset({"processes", "cluster", "faults"})
_GRACE_S: Final = 3.0

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
"""How fast examples come says how busy the machine is, and nothing about what is tested."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with many real processes or a real cluster are slow by where they live."""
    root = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(root) and item.path.relative_to(root).parts[0] in _SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def no_process_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process behind, and end that process, so that the next test starts clean.

    Left behind is a new child of this process (at any depth), or any process that names the test's temporary directory in its
    command line or works in it: a worker whose parents have all died is found by the latter. Fixtures of a wider scope start
    their processes before this one looks (pytest sets them up first), so those are not counted.
    """
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    tmp_path: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    left = [process for process in _children_since(before) + _working_in(tmp_path) if _outlives(process)]
    if left:
        told = sorted({_describe(process) for process in left})
        for process in left:
            _end(process)
        pytest.fail("processes left behind:\n  " + "\n  ".join(told))


def _children_since(before: set[int]) -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.pid not in before]


def _working_in(folder: Path | None) -> list[psutil.Process]:
    if folder is None:
        return []
    text, prefix = str(folder), str(folder) + os.sep
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if any(text in argument for argument in process.cmdline()) or (process.cwd() + os.sep).startswith(prefix):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _outlives(process: psutil.Process) -> bool:
    """Whether it still runs after a moment's grace; what has exited and only waits to be reaped does not."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.wait(timeout=_GRACE_S)
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:200]} (in {process.cwd()})"
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return str(process.pid)


def _end(process: psutil.Process) -> None:
    try:
        process.kill()
        process.wait(timeout=_GRACE_S)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        return
