"""A fake Foreman served on a real Unix socket, and the client that talks to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foreman.api.app import create_app
from foreman.api.client import RemoteForeman
from foreman.api.listeners import Listener, bind_unix
from foreman.api.serving import serving
from foreman.testing.fake_foreman import FakeForeman


@pytest.fixture
async def fake() -> FakeForeman:
    return FakeForeman()


@pytest.fixture
async def socket_path(fake: FakeForeman, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "foreman.sock"
    async with serving(create_app(fake), [Listener(bind_unix(path))]):
        yield path


@pytest.fixture
async def remote(socket_path: Path) -> AsyncIterator[RemoteForeman]:
    async with RemoteForeman.connect(f"unix:{socket_path}") as foreman:
        yield foreman
