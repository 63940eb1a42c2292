"""Named steps of the supervisor and of a worker that is being forked, at which a test lets that process die.

A kind of these tests preloads this module, so a real supervisor imports it; nothing in the product knows of it. The fate is a file in the
run directory: "STEP before|after NTH". Whoever comes to it removes the file first, so a fate is met once.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

FATE: Final = "fate"
STARTING: Final = ("do StartRequest", "prepare", "fork", "started", "ok", "notified", "acknowledge")
"""Of a creation: asked for, lock taken, forked, told that it runs (news, then answer), told that it is ready, told that all is heard."""
ENDING: Final = ("do Signal", "ok", "reap", "exited", "acknowledge")
CHILD: Final = ("arrange", "limit", "run")
"""Of a forked child: its descriptors, its limits, its function (after which it has told that it is ready)."""


def set_fate(run: Path, step: str, when: str, nth: int) -> Path:
    """The file; it is gone once the fate is met."""
    path = run / FATE
    path.with_suffix(".new").write_text(f"{step}/{when}/{nth}")
    path.with_suffix(".new").rename(path)
    return path


class Steps:
    """What this process has come to since the fate was set."""

    def __init__(self, run: str) -> None:
        self._path = f"{run}/{FATE}"
        self._met: dict[str, int] = {}

    def come_to(self, step: str, when: str) -> None:
        try:
            with open(self._path, encoding="ascii") as file:
                fated, fated_when, nth = file.read().split("/")
        except FileNotFoundError:
            self._met.clear()
            return
        if (step, when) == (fated, fated_when):
            self._met[step] = self._met.get(step, 0) + 1
            if self._met[step] == int(nth):
                with suppress(FileNotFoundError):  # another child was quicker
                    os.unlink(self._path)
                    os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def taken(self, step: str) -> Any:
        self.come_to(step, "before")
        yield
        self.come_to(step, "after")

    def wrap(self, owner: Any, name: str, name_of: Callable[..., str | None]) -> None:
        """Each call of ``owner.name`` for which ``name_of`` has a name is a step."""
        real = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            step = name_of(*args, **kwargs)
            if step is None:
                return real(*args, **kwargs)
            with self.taken(step):
                return real(*args, **kwargs)

        setattr(owner, name, wrapped)


def _install(run: str) -> None:
    from foreman.supervisor import child, link, spawn, supervisor

    steps = Steps(run)
    parent = os.getpid()
    steps.wrap(supervisor.Supervisor, "do", lambda _self, request, _answer: f"do {type(request).__name__}")
    steps.wrap(spawn.Spawner, "prepare", lambda *_: "prepare")
    steps.wrap(link.Connection, "send", lambda _self, message: message.get("news") or next(iter(message.keys() & {"ok"}), None))
    steps.wrap(link.ServerLink, "_acknowledge", lambda *_: "acknowledge")
    steps.wrap(os, "waitpid", lambda *_: "reap" if os.getpid() == parent else None)
    steps.wrap(child, "_arrange_descriptors", lambda *_: "arrange")
    steps.wrap(child, "_set_limits", lambda *_: "limit")
    steps.wrap(child, "_call", lambda *_: "run")
    real_fork = os.fork

    def fork() -> int:
        steps.come_to("fork", "before")
        pid = real_fork()
        if pid:
            steps.come_to("fork", "after")
        return pid

    os.fork = fork


def nothing() -> None:
    """What a kind of this module would run; it only brings the module into the supervisor."""


if "--run" in sys.argv and sys.argv[0].endswith("supervisor/__main__.py"):
    _install(sys.argv[sys.argv.index("--run") + 1])
