"""A thread that waits for the disk, so that the loop never does. Work is done one piece after another, in order.

Started after the fork, in the worker itself. A thread that hangs in the kernel does not keep the process from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

_Result = TypeVar("_Result")
_Work = Callable[[], None]


class DiskThread:
    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], _Result], done: Callable[[_Result | Exception], None]) -> None:
        """Do ``work`` in the thread, then call ``done`` on the loop with what it returned or raised."""
        self._queue.put(lambda: self._do(work, done))

    async def do(self, work: Callable[[], _Result]) -> _Result:
        """The result of ``work``, or what it raised."""
        future: asyncio.Future[_Result] = self._loop.create_future()

        def done(result: _Result | Exception) -> None:
            if future.done():
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(work, done)
        return await future

    def close(self) -> None:
        """No more work. What has been given is still done."""
        self._queue.put(None)

    def _do(self, work: Callable[[], _Result], done: Callable[[_Result | Exception], None]) -> None:
        result: _Result | Exception
        try:
            result = work()
        except Exception as error:  # the edge of a thread: whatever it is, the loop must hear of it
            result = error
        self._loop.call_soon_threadsafe(done, result)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
