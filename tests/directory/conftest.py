"""Both engines, for every test that asks for ``opened``: a call to it opens one more client of the same directory."""

import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from foreman.directory.opening import open_directory
from foreman.directory.port import Directory
from tests.directory.etcd_server import EtcdServer

NO_ETCD: Final = "NOT TESTED: the etcd engine. No `etcd` on this machine; install Debian's etcd-server"
HAS_ETCD: Final = shutil.which("etcd") is not None
needs_etcd: Final = pytest.mark.skipif(not HAS_ETCD, reason=NO_ETCD)

Opened = Callable[[], Directory]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def etcd_if_any(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer | None]:
    """One member on loopback for the whole session; tests keep apart by their keys. None on a machine without etcd."""
    if not HAS_ETCD:
        yield None
        return
    with contextlib.ExitStack() as stack:
        server = EtcdServer(tmp_path_factory.mktemp("etcd"))
        stack.callback(server.end)
        server.start()
        server.wait_healthy()
        yield server


@pytest.fixture(params=["sqlite", pytest.param("etcd", marks=needs_etcd)])
async def opened(request: pytest.FixtureRequest, tmp_path: Path, etcd_if_any: EtcdServer | None) -> AsyncIterator[Opened]:
    if request.param == "sqlite":
        url = f"sqlite:{tmp_path / 'directory.sqlite'}"
    else:
        assert etcd_if_any is not None
        url = etcd_if_any.url
    async with contextlib.AsyncExitStack() as stack:

        def opened() -> Directory:
            directory = open_directory(url)
            stack.push_async_callback(directory.close)
            return directory

        yield opened


@pytest.fixture
def prefix() -> bytes:
    """A part of the key space that no other test uses."""
    return b"/test-%d/" % next(_numbers)
