"""A whole cluster in one process and in no time: the real coordinators, directors and gateways over a simulated world, by seed."""

from foreman.testing.cluster_simulator.promises import BrokenPromise
from foreman.testing.cluster_simulator.world import Told, between_steps, simulate

__all__ = ["BrokenPromise", "Told", "between_steps", "simulate"]
