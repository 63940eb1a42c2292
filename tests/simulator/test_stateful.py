"""Hypothesis drives the same world: it chooses commands, crashes and misfortunes, and shrinks what breaks a promise."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from foreman.core import events as on
from foreman.core.health import Health
from foreman.core.ids import RequestId, WorkerId
from foreman.testing.simulator import CALM, Simulation, acting, promises
from foreman.testing.simulator.asking import KIND_OF, ask

ids = st.sampled_from(sorted(KIND_OF)).map(WorkerId)
some_ids = st.lists(ids, min_size=1, max_size=4, unique=True)
timeouts = st.sampled_from([0.5, 5.0, 30.0])
trouble = st.sampled_from(["start_refused", "exit_before_ready", "never_ready", "ignores_term", "disk_error", "effect_twice", "stale_news"])


class HostileNode(RuleBasedStateMachine):
    """Anything at any time; and in the end, when it is calm, everything has come out right."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.sim = Simulation(seed, CALM, commands=0)
        self.requests = 0

    def ask(self, command_of: Any) -> None:
        self.requests += 1
        ask(self.sim, command_of(self.sim.moment(), RequestId(self.requests)))

    @rule(id=ids, timeout_s=timeouts, n=st.integers(1, 2))
    def new(self, id: WorkerId, timeout_s: float, n: int) -> None:
        self.ask(lambda at, request: on.NewWorkers(at, request, ((id, KIND_OF[id], {"n": n}),), timeout_s, atomic=False))

    @rule(chosen=some_ids, timeout_s=timeouts)
    def new_batch(self, chosen: list[WorkerId], timeout_s: float) -> None:
        items = tuple((id, KIND_OF[id], {"n": 1}) for id in chosen)
        self.ask(lambda at, request: on.NewWorkers(at, request, items, timeout_s, atomic=True))

    @rule(chosen=some_ids, timeout_s=timeouts)
    def remove(self, chosen: list[WorkerId], timeout_s: float) -> None:
        self.ask(lambda at, request: on.RemoveWorkers(at, request, tuple(chosen), timeout_s))

    @rule(id=ids, timeout_s=timeouts, what=st.sampled_from([on.StartWorkerRequested, on.StopWorkerRequested, on.RestartWorkerRequested]))
    def change(self, id: WorkerId, timeout_s: float, what: Any) -> None:
        self.ask(lambda at, request: what(at, request, id, timeout_s))

    @rule(id=ids, health=st.sampled_from([Health.ok(), Health.error("reported")]))
    def report(self, id: WorkerId, health: Health) -> None:
        self.ask(lambda at, request: on.ReportHealth(at, request, id, health))

    @rule(timeout_s=timeouts)
    def wait(self, timeout_s: float) -> None:
        self.ask(lambda at, request: on.WaitForHealthy(at, request, timeout_s))

    @rule(steps=st.integers(1, 40))
    def time_goes_by(self, steps: int) -> None:
        for _ in range(steps):
            self.sim.step()

    @rule(what=trouble, value=st.sampled_from([0.0, 0.5, 1.0]))
    def trouble_begins(self, what: str, value: float) -> None:
        self.sim.faults = replace(self.sim.faults, **{what: value})

    @rule(away=st.booleans())
    def directory(self, away: bool) -> None:  # noqa: FBT001  Hypothesis passes it by name
        self.sim.world.directory_away = away
        acting.flush(self.sim)

    @rule(id=ids, code=st.sampled_from([None, 0, 1]))
    def worker_dies(self, id: WorkerId, code: int | None) -> None:
        process = self.sim.world.processes.get(id)
        if process is not None:
            acting.end(self.sim, process, code)

    @rule()
    def server_dies(self) -> None:
        self.sim.crash()

    @rule()
    def supervisor_dies(self) -> None:
        acting.kill_supervisor(self.sim)

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "sim"):
            self.sim.machine.check()

    def teardown(self) -> None:
        if not hasattr(self, "sim"):
            return
        self.sim.calm()
        while self.sim.step():
            pass
        promises.at_rest(self.sim)


TestHostileNode = HostileNode.TestCase
TestHostileNode.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
