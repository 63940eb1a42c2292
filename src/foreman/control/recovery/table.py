"""The order of the phases, as one table, and the walk through it.

Each row: the phase's name, as people read it; what it does; which phases may follow it. A phase that stalls sends the walk back to the
beginning, with everything read anew.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from foreman.control.recovery.cleaning_up import clean_up
from foreman.control.recovery.durable_version import find_durable_version
from foreman.control.recovery.initialising import initialise
from foreman.control.recovery.locking import lock_old_services
from foreman.control.recovery.log_planning import plan_old_logs
from foreman.control.recovery.outcome import Completed, Next, Outcome, Stalled, Superseded
from foreman.control.recovery.publishing import publish
from foreman.control.recovery.recovery import Recovery
from foreman.control.recovery.recruiting_logs import recruit_logs
from foreman.control.recovery.recruiting_storage import recruit_storage
from foreman.control.recovery.replaying import replay
from foreman.control.recovery.unlocking import unlock_storage
from foreman.control.recovery.watching import begin_to_watch

FIRST: Final = "locking"


@dataclass(frozen=True, slots=True)
class Phase:
    run: Callable[[Recovery], Awaitable[Outcome]]
    follows: tuple[str, ...]


PHASES: Final[Mapping[str, Phase]] = {
    "locking": Phase(lock_old_services, ("initialising", "log planning", "watching")),
    "initialising": Phase(initialise, ("recruiting logs",)),
    "log planning": Phase(plan_old_logs, ("durable version",)),
    "durable version": Phase(find_durable_version, ("recruiting logs",)),
    "recruiting logs": Phase(recruit_logs, ("recruiting storage",)),
    "recruiting storage": Phase(recruit_storage, ("replaying",)),
    "replaying": Phase(replay, ("unlocking",)),
    "unlocking": Phase(unlock_storage, ("publishing",)),
    "publishing": Phase(publish, ("watching",)),
    "watching": Phase(begin_to_watch, ("cleaning up",)),
    "cleaning up": Phase(clean_up, ()),
}


async def walk(recovery: Recovery, enter: Callable[[str], None]) -> Completed | Stalled | Superseded:
    """From the first phase to the end. ``enter`` hears the name of each phase before it runs."""
    name = FIRST
    while True:
        enter(name)
        phase = PHASES[name]
        match await phase.run(recovery):
            case Next(following):
                if following not in phase.follows:
                    raise AssertionError(f"{following} does not follow {name}")
                name = following
            case (Completed() | Stalled() | Superseded()) as end:
                return end
