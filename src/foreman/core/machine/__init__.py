"""The whole Foreman as one pure machine: ``ForemanMachine.handle(event) -> list[Effect]``.

One file a verb: booting, creating, starting, exiting, stopping, removing, reporting, waiting, ending. ``worker`` is one worker's
record, ``node`` all of them with their indexes, ``turn`` one event being handled. Nothing here waits, reads a clock or draws a number.
"""

from foreman.core.machine.machine import ForemanMachine
from foreman.core.machine.settings import MachineSettings
from foreman.core.machine.turn import InvalidMove

__all__ = ["ForemanMachine", "InvalidMove", "MachineSettings"]
