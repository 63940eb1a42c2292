"""A seeded simulator: the real machine in a simulated world that reorders, delays, repeats, fails and crashes.

    from foreman.testing.simulator import simulate
    simulate(seed=42)            # raises Violation, with a transcript that tells everything that happened, when a promise is broken

The same seed is the same run, event for event. ``world`` is what survives the server (disk, processes, directory); ``driver`` is time,
the server's life and the faults; ``promises`` is what is compared at the end.
"""

from foreman.testing.simulator.driver import Simulation, simulate
from foreman.testing.simulator.faults import CALM, ROUGH, Faults
from foreman.testing.simulator.world import Violation

__all__ = ["CALM", "ROUGH", "Faults", "Simulation", "Violation", "simulate"]
