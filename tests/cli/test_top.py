"""``foreman top`` on a real pseudo-terminal: it shows what happens as it happens, and Ctrl-C ends it quietly."""

import asyncio
import os
import pty
import signal
import sys
from pathlib import Path

from foreman.testing.fake_foreman import FakeForeman
from tests.cli.conftest import WITHIN_S, environment


async def test_top_shows_a_worker_when_it_comes(data: Path, fake: FakeForeman) -> None:
    ours, theirs = pty.openpty()
    seen = bytearray()
    news = asyncio.Event()

    def read() -> None:
        try:
            seen.extend(os.read(ours, 65536))
        except OSError:
            asyncio.get_running_loop().remove_reader(ours)
        news.set()

    async def until(text: bytes) -> None:
        async with asyncio.timeout(WITHIN_S):
            while text not in seen:
                news.clear()
                await news.wait()

    asyncio.get_running_loop().add_reader(ours, read)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "foreman.cli.main", "top", env=environment(FOREMAN_DATA=str(data), TERM="xterm", LINES="40"),
        stdin=theirs, stdout=theirs, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    assert process.stderr is not None
    try:
        await until(b"no workers")
        await fake.new_worker("log_9", "log")
        await until(b"log_9")
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 130
        assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
