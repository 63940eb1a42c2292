"""``foreman``, which is killed at points of its director's way that a test names: on entering or leaving a phase of a recovery.

    DEATHS_FOLDER=FOLDER python -m tests.cluster.mortal up …

Each file in FOLDER is one death: ``enter locking``, ``leave locking``, … Who comes there first takes the file away and dies of it.
The product knows nothing of it: the table of phases is wrapped here.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from foreman.cli.main import main
from foreman.control.recovery import table
from foreman.control.recovery.outcome import Outcome
from foreman.control.recovery.recovery import Recovery

DEATHS: Final = "DEATHS_FOLDER"


def die_at(point: str) -> None:
    """If it is wanted."""
    with suppress(FileNotFoundError):
        (Path(os.environ[DEATHS]) / point).unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _mortal(name: str, run: Callable[[Recovery], Awaitable[Outcome]]) -> Callable[[Recovery], Awaitable[Outcome]]:
    async def phase(recovery: Recovery) -> Outcome:
        die_at(f"enter {name}")
        outcome = await run(recovery)
        die_at(f"leave {name}")
        return outcome

    return phase


if __name__ == "__main__":
    table.PHASES = {name: replace(phase, run=_mortal(name, phase.run)) for name, phase in table.PHASES.items()}  # type: ignore[misc]
    sys.exit(main())
