"""A lane: blocking work of one sort on threads of its own; all that arrives while a group is being done is the next group.

Like the group commit of a log: a hundred requests that come at once share their fsyncs, and one that comes alone waits for nobody.
With one thread the order is kept. With several, as many groups are done side by side, because a journaling file system merges the
fsyncs that come at the same time (measured on ext4: 100 directories in 450 ms by one thread, in 50 ms by four).
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

LARGEST_GROUP: Final = 512


class Lane(Generic[Job, Result]):
    """Every job is answered: what came of its group, a result or an error.

    ``do`` runs in one of the lane's threads with a group, and returns or raises; ``done`` then runs in the event loop.
    """

    def __init__(
        self,
        name: str,
        do: Callable[[Sequence[Job]], Result],
        done: Callable[[Sequence[Job], Result | Exception], None],
        *,
        threads: int = 1,
    ) -> None:
        self._name = name
        self._do = do
        self._done = done
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"foreman-{name}")
        self._jobs: list[Job] = []
        self._working = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, job: Job) -> None:
        self._jobs.append(job)
        if self._working < self._threads:
            self._working += 1
            task = asyncio.create_task(self._work(), name=self._name)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let the groups that are being done finish, and take no other."""
        self._jobs.clear()
        await asyncio.gather(*self._tasks)
        self._pool.shutdown(wait=False)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._jobs:
            size = min(LARGEST_GROUP, -(-len(self._jobs) // self._threads))
            group, self._jobs = self._jobs[:size], self._jobs[size:]
            outcome: Result | Exception
            try:
                outcome = await loop.run_in_executor(self._pool, self._do, group)
            except Exception as error:  # the edge of a thread: whatever it was becomes the answer
                outcome = error
            self._done(group, outcome)
        self._working -= 1  # in the same breath as the look at the jobs: one that comes next begins another worker
