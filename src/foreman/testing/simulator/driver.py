"""Time, the server's life, and faults: drives the real machine through one seeded run.

Every effect takes a random while, so effects of different workers overtake one another; some are done twice; some fail. The server
may die at any moment: what was under way is then done or not done, and a new server starts from the disk and the living supervisor.
"""

import heapq
import random
from collections.abc import Callable

from foreman.core import effects as do
from foreman.core import events as on
from foreman.core.ids import RequestId, WorkerId
from foreman.core.kinds import Kinds, KindSpec, PythonProgram, RestartType
from foreman.core.machine import ForemanMachine, MachineSettings
from foreman.core.restarting import RestartPolicy
from foreman.testing.simulator import acting, asking, promises
from foreman.testing.simulator.faults import CALM, ROUGH, Faults
from foreman.testing.simulator.world import Violation, World

SETTINGS = MachineSettings(
    restart=RestartPolicy(max_restarts=4, window_s=20.0, stable_after_s=3.0),
    start_timeout_s=6.0,
    start_parallelism=2,
    start_slot_s=1.5,
    kill_again_s=1.0,
)
KINDS = Kinds(
    [
        KindSpec("log", PythonProgram("sim:log"), restart=RestartType.TRANSIENT, check_params=lambda _params: []),
        KindSpec("storage", PythonProgram("sim:storage"), after=("log",), restart=RestartType.PERMANENT, check_params=lambda _params: []),
        KindSpec("job", PythonProgram("sim:job"), restart=RestartType.TEMPORARY, check_params=lambda _params: []),
    ]
)
IDS = tuple(WorkerId(name) for name in ("a", "b", "c", "d", "e"))
MOST_STEPS = 20_000


class Simulation:
    """One run. ``step`` does the next thing that happens; the promises are checked after each."""

    def __init__(self, seed: int, faults: Faults = ROUGH, commands: int = 12, crash_at: int | None = None) -> None:
        self.seed, self.faults = seed, faults
        self.chance = random.Random(seed)
        self.world = World()
        self.now = 0.0
        self.life = 0
        self.boundary = 0
        self.crash_at = crash_at
        self.transcript: list[str] = []
        self.asked: dict[RequestId, asking.Asked] = {}
        self.outcomes: list[tuple[asking.Asked, do.Outcome | str]] = []
        self._heap: list[tuple[float, int, int | None, str, Callable[[], None]]] = []
        self._count = 0
        self._timers: dict[on.Timer, int] = {}
        self.is_down = self.supervisor_up = False
        self.supervisor = 1
        self.gateway: set[WorkerId] = set()
        self.boot()
        asking.plan(self, commands)

    # --- time ---

    def later(self, what: str, act: Callable[[], None], delay: float | None = None, *, of_server: bool = True) -> None:
        """Let something happen after a random while; what belongs to the server does not outlive it."""
        if delay is None:
            delay = self.chance.uniform(0.3, 3.0) if self.roll(self.faults.slow) else self.chance.uniform(0.001, 0.05)
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, self.life if of_server else None, what, act))

    def roll(self, probability: float) -> bool:
        return probability > 0 and self.chance.random() < probability

    def moment(self) -> on.Moment:
        return on.Moment(self.now, 1_700_000_000 + self.now, self.chance.getrandbits(64))

    def step(self) -> bool:
        """False when nothing is left to happen."""
        while self._heap:
            self.now, _, life, what, act = heapq.heappop(self._heap)
            if life is not None and life != self.life:
                continue
            self.tell(what)
            act()
            return True
        return False

    def run(self) -> None:
        """Faults until all commands are given and the seed's trouble is over; then calm; then everything must have come out right."""
        for _ in range(MOST_STEPS):
            if self.now > asking.TROUBLE_ENDS_S and self.faults is not CALM:
                self.calm()
            if not self.step():
                break
        else:
            raise Violation(f"the node never comes to rest: {self.transcript[-20:]}")
        promises.at_rest(self)

    def calm(self) -> None:
        self.tell("--- the trouble is over ---")
        self.faults = CALM
        self.world.directory_away = False
        acting.flush(self)

    def tell(self, line: str) -> None:
        self.transcript.append(f"{self.now:9.3f} [{self.life}] {line}")

    # --- the server ---

    def boot(self) -> None:
        """A new server: scan, then attach."""
        self.life += 1
        self.is_down = self.supervisor_up = False
        self.gateway = set()
        self._timers.clear()
        for asked in self.asked.values():
            self.outcomes.append((asked, "unknown"))
        self.asked.clear()
        self.machine = ForemanMachine(SETTINGS, KINDS, "sim")
        self.world.trash.clear()
        found = tuple(self.world.workers.values())
        journal = tuple(self.world.journal.values())
        self.tell(f"a server starts and finds {[m.id for m in found]}, journal {[type(r).__name__ for r in journal]}")
        self.handle(on.NodeScanned(self.moment(), found, (), journal))

    def end(self, *, keep_workers: bool) -> None:
        """The server has ended in peace. Somebody starts it again a while later."""
        self.tell("the node has ended")
        if not keep_workers:
            if not self.machine.booted:
                self.world.processes.clear()  # the supervisor is asked to end, and stops what nobody has adopted yet
            if self.world.processes:
                raise Violation(f"the node has ended, and these still run: {sorted(self.world.processes)}")
            self.supervisor += 1
        self.life += 1
        self.is_down, self.supervisor_up = True, False
        self.later("somebody starts the node again", self.boot, self.chance.uniform(0.1, 5), of_server=False)

    def crash(self) -> None:
        """SIGKILL of the server. What was under way on the disk is done or not."""
        if self.is_down:
            return
        self.tell("*** the server is killed ***")
        under_way = [(what, act) for _, _, life, what, act in self._heap if life == self.life and what.startswith("disk:")]
        old, self.life = self.life, self.life + 1
        for what, act in under_way:
            if self.chance.random() < 0.5:
                self.tell(f"(was under way, and is done) {what}")
                act()
        assert self.life == old + 1
        self.life = old
        self.boot()

    def handle(self, event: on.Event) -> None:
        """Let the machine decide, check it, and begin what it asks for. The server may die at each boundary between two effects."""
        self.tell(f"event  {event_text(event)}")
        try:
            asked_for = self.machine.handle(event)
            self.machine.check()
        except AssertionError as error:
            raise Violation(f"seed {self.seed}: {error}\n" + "\n".join(self.transcript[-60:])) from error
        for effect in asked_for:
            if self.is_down:
                return
            self.boundary += 1
            if self.boundary == self.crash_at or self.roll(self.faults.server_crash):
                self.crash()
                return
            self.tell(f"effect {effect}")
            acting.begin(self, effect)
            if self.roll(self.faults.effect_twice) and isinstance(effect, do.SignalWorker | do.KillWorker):
                acting.begin(self, effect)

    def answer(self, life: int, event_of: Callable[[], on.Event]) -> None:
        """Give an answer to the server that asked, if it still lives."""
        if life == self.life:
            self.handle(event_of())

    def replied(self, request: RequestId, outcome: do.Outcome) -> None:
        """A caller hears. Each request is answered once at most."""
        asked = self.asked.pop(request, None)
        if asked is None:
            raise Violation(f"request {request} is answered twice, or was never asked")
        self.outcomes.append((asked, outcome))
        promises.at_reply(self, asked, outcome)

    def set_timer(self, timer: on.Timer, at: float) -> None:
        self._count += 1
        self._timers[timer] = mark = self._count
        self.later(f"timer  {timer.kind} {timer.key}", lambda: self._fire(timer, mark), max(at - self.now, 0.0))

    def cancel_timer(self, timer: on.Timer) -> None:
        self._timers.pop(timer, None)

    def _fire(self, timer: on.Timer, mark: int) -> None:
        if self._timers.get(timer) == mark:
            del self._timers[timer]
            self.handle(on.TimerFired(self.moment(), timer))


def event_text(event: on.Event) -> str:
    """The event without its moment, for the transcript."""
    facts = {name: getattr(event, name) for name in type(event).__slots__ if name != "at"}
    return f"{type(event).__name__} {facts}"


def simulate(seed: int, faults: Faults = ROUGH, commands: int = 12, crash_at: int | None = None) -> Simulation:
    """Run one seed to its end. Raises Violation with the transcript."""
    simulation = Simulation(seed, faults, commands, crash_at)
    try:
        simulation.run()
    except Violation as violation:
        raise Violation(f"seed {seed}: {violation}\n" + "\n".join(simulation.transcript)) from violation
    except Exception as error:  # whatever it is, it is of no use without the transcript
        raise Violation(f"seed {seed}: an error got out: {error!r}\n" + "\n".join(simulation.transcript)) from error
    return simulation
