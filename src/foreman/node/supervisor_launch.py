"""Starting a worker supervisor, and finding the one that runs.

The supervisor must outlive the server: its own session, none of our descriptors, an environment of its own. It listens when it says so
through a pipe. Nothing here waits by looking again and again, but for the moment in which another supervisor comes or goes.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreman.node.supervisor_client import SupervisorClient, SupervisorUnavailable

_READY_FD: Final = 3
_LAUNCH_TIMEOUT_S: Final = 30.0
_ROOM_BYTES: Final = 4_096
"""Room in the supervisor's environment, in which its forked workers show theirs (kernel.processes.ProcessArea)."""
_KEPT: Final = ("PATH", "HOME", "TZ", "LD_LIBRARY_PATH")
_TURNOVER_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one. ``log``: the file for what it has to say by itself; None: our own stderr."""

    run: Path
    log: Path | None = None
    orphan_grace_s: float = 600.0
    start_grace_s: float = 10.0
    preload: Sequence[str] = ()


class SupervisorBusy(SupervisorUnavailable):
    """Another supervisor has this run directory."""


async def launch_supervisor(launch: Launch) -> int:
    """Start one; return its pid when it listens. Raises SupervisorBusy, SupervisorUnavailable (why, in its own words)."""
    loop = asyncio.get_running_loop()
    ours, its = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        pid = _spawn(launch, its)
    except OSError as error:
        os.close(ours)
        raise SupervisorUnavailable(f"the supervisor cannot be started: {error}") from error
    finally:
        os.close(its)
    readable = asyncio.Event()
    loop.add_reader(ours, readable.set)
    word = ""
    try:
        async with asyncio.timeout(_LAUNCH_TIMEOUT_S):
            await readable.wait()
        word = os.read(ours, 4096).decode("utf-8", "replace").strip()
    except TimeoutError:
        word = f"it does not answer within {_LAUNCH_TIMEOUT_S:g} s"
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        if word != "ready":
            os.kill(pid, 9)
            os.waitpid(pid, 0)  # noqa: ASYNC222 - it was just killed
    if word == "ready":
        return pid
    if word.startswith("busy"):
        raise SupervisorBusy(word)
    raise SupervisorUnavailable(f"the supervisor did not start: {word or 'it ended without a word'}")


async def attach_or_launch(launch: Launch, *, patience_s: float = 60.0) -> SupervisorClient:
    """The supervisor of this run directory: the running one, else a new one. One that is just ending is waited for.

    Raises SupervisorUnavailable when neither can be had within ``patience_s``; Refused when it speaks another version.
    """
    problem: SupervisorUnavailable | None = None
    try:
        async with asyncio.timeout(patience_s):
            while True:
                try:
                    return await _attach(launch)
                except SupervisorUnavailable as error:
                    problem = error
                try:
                    await launch_supervisor(launch)
                except SupervisorBusy as error:
                    problem = error
                    await asyncio.sleep(_TURNOVER_S)  # between its lock and its socket, or between its socket's end and its own
    except TimeoutError:
        raise SupervisorUnavailable(f"no supervisor within {patience_s:g} s: {problem}") from problem


async def _attach(launch: Launch) -> SupervisorClient:
    client = await SupervisorClient.connect(launch.run)
    if client.welcome.stopping:
        async for _ in client.news():
            pass
        await client.lost
        await client.close()
        raise SupervisorUnavailable("the supervisor has just ended")
    await client.configure(orphan_grace_s=launch.orphan_grace_s)
    return client


def _spawn(launch: Launch, ready: int) -> int:
    arguments = [sys.executable, "-P", "-s", "-X", "utf8", "-m", "foreman.supervisor"]
    arguments += ["--run", str(launch.run), "--ready-fd", str(_READY_FD)]
    arguments += ["--orphan-grace", repr(launch.orphan_grace_s), "--start-grace", repr(launch.start_grace_s)]
    if launch.preload:
        arguments += ["--preload", ",".join(launch.preload)]
    log: tuple[tuple[int, int, str, int, int] | tuple[int, int, int], ...] = ((os.POSIX_SPAWN_DUP2, 2, 1),)
    if launch.log is not None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        log = ((os.POSIX_SPAWN_OPEN, 1, str(launch.log), flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2))
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), *log, (os.POSIX_SPAWN_DUP2, ready, _READY_FD)]
    return os.posix_spawn(sys.executable, arguments, _environment(), file_actions=actions, setsid=True, setsigmask=())


def _environment() -> dict[str, str]:
    """The import path of this process, so that kinds found here are found there, and nothing else that could leak into workers."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "PYTHONPATH": path, "FOREMAN_ROOM": "-" * _ROOM_BYTES}
