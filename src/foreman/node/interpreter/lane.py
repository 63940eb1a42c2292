"""A lane: blocking work of one sort, in order, on a thread of its own; all that arrives while a group is being done is the next group.

Like the group commit of a log: a hundred requests that come at once share their fsyncs, and one that comes alone waits for nobody.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

LARGEST_GROUP: Final = 512


class Lane(Generic[Job, Result]):
    """``do`` runs in the lane's thread with one group, and returns or raises; ``done`` then runs in the event loop with the group and
    what came of it, so that no job is ever without an answer.
    """

    def __init__(self, name: str, do: Callable[[Sequence[Job]], Result], done: Callable[[Sequence[Job], Result | Exception], None]) -> None:
        self._name = name
        self._do = do
        self._done = done
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"foreman-{name}")
        self._jobs: list[Job] = []
        self._worker: asyncio.Task[None] | None = None

    def add(self, job: Job) -> None:
        self._jobs.append(job)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=self._name)

    async def close(self) -> None:
        """Let the group that is being done finish, and take no other."""
        self._jobs.clear()
        if self._worker is not None:
            await self._worker
        self._pool.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._jobs:
            group, self._jobs = self._jobs[:LARGEST_GROUP], self._jobs[LARGEST_GROUP:]
            outcome: Result | Exception
            try:
                outcome = await loop.run_in_executor(self._pool, self._do, group)
            except Exception as error:  # the edge of a thread: whatever it was becomes the answer
                outcome = error
            self._done(group, outcome)
        self._worker = None
