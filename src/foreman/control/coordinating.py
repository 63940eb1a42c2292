"""The coordinator's decisions. Pure: events in, effects out.

    not_leader        somebody else leads, or nobody does yet; it campaigns whenever there is no leader
    leader_waiting    elected; it reads the whole directory before it decides anything (waiting_consensus)
    leader_ready      a director of a fresh, higher epoch works, or is about to
    recovery_failed   the director cannot go on; again when the cluster's capabilities are not those it failed with, or, after a fault
                      that may pass, when its time is over. Never in a loop.

Losing the lease ends all of it at once, whatever the state. Every director has a higher epoch than any before it, whoever led.
"""

import enum
from dataclasses import dataclass
from typing import Final

from foreman.control.cluster_view import Fingerprint

CAMPAIGN_AGAIN_S: Final = 0.5
NEXT_EPOCH_S: Final = 0.1
NEXT_EPOCH_CAP_S: Final = 5.0
CALM_S: Final = 10.0
"""A director that lasted so long was no failure: the next one begins at once."""


class State(enum.StrEnum):
    NOT_LEADER = "not_leader"
    LEADER_WAITING = "leader_waiting"
    LEADER_READY = "leader_ready"
    RECOVERY_FAILED = "recovery_failed"


class Timer(enum.StrEnum):
    CAMPAIGN = "campaign"
    NEXT_EPOCH = "next_epoch"
    RETRY = "retry"


# --- events ---


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """The directory changed. ``has_leader``: whether there is a leader's record."""

    has_leader: bool
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Elected:
    pass


@dataclass(frozen=True, slots=True)
class NotElected:
    pass


@dataclass(frozen=True, slots=True)
class WholeRead:
    """The whole directory was read after the election. ``epoch``: the highest given so far."""

    epoch: int


@dataclass(frozen=True, slots=True)
class EpochTaken:
    epoch: int


@dataclass(frozen=True, slots=True)
class DirectorStalled:
    """``fingerprint``: of the cluster it failed with. ``again_in_s`` None: time alone does not help."""

    epoch: int
    why: str
    fingerprint: Fingerprint
    again_in_s: float | None


@dataclass(frozen=True, slots=True)
class DirectorEnded:
    """``epoch``: the highest it knows of; the next must be higher. ``lasted_s``: how long it worked."""

    epoch: int
    lasted_s: float


@dataclass(frozen=True, slots=True)
class LeaseLost:
    pass


@dataclass(frozen=True, slots=True)
class TimerFired:
    timer: Timer


Event = ClusterSeen | Elected | NotElected | WholeRead | EpochTaken | DirectorStalled | DirectorEnded | LeaseLost | TimerFired


# --- effects ---


@dataclass(frozen=True, slots=True)
class Campaign:
    """Try to become the leader. Answers Elected or NotElected."""


@dataclass(frozen=True, slots=True)
class ReadWhole:
    """Answers WholeRead."""


@dataclass(frozen=True, slots=True)
class TakeEpoch:
    """Write an epoch above ``above`` by compare and set. Answers EpochTaken."""

    above: int


@dataclass(frozen=True, slots=True)
class StartDirector:
    """After any earlier one has ended. Answers DirectorStalled and DirectorEnded."""

    epoch: int


@dataclass(frozen=True, slots=True)
class LetDirectorGoOn:
    pass


@dataclass(frozen=True, slots=True)
class StopDirector:
    """At once, before anything else."""


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Replaces the same one."""

    timer: Timer
    in_s: float


Effect = Campaign | ReadWhole | TakeEpoch | StartDirector | LetDirectorGoOn | StopDirector | SetTimer


class CoordinatorMachine:
    """One of each coordinator."""

    def __init__(self) -> None:
        self.state = State.NOT_LEADER
        self.epoch = 0
        self.failed_with: Fingerprint | None = None
        self.why = ""
        self._campaigning = False
        self._has_leader = True
        self._hurry = 0

    def handle(self, event: Event) -> list[Effect]:
        """What follows from it. An event that does not fit the state is late news, and nothing follows."""
        match event:
            case ClusterSeen(has_leader, fingerprint):
                return self._cluster_seen(fingerprint, has_leader=has_leader)
            case Elected():
                self._campaigning, self.state = False, State.LEADER_WAITING
                return [ReadWhole()]
            case NotElected():
                self._campaigning = False
                return [SetTimer(Timer.CAMPAIGN, CAMPAIGN_AGAIN_S)]
            case LeaseLost():
                return self._lease_lost()
            case TimerFired(timer):
                return self._timer_fired(timer)
            case WholeRead(epoch):
                return self._next_epoch(epoch) if self.state is State.LEADER_WAITING else []
            case EpochTaken(epoch):
                return self._epoch_taken(epoch)
            case DirectorStalled():
                return self._stalled(event)
            case DirectorEnded():
                return self._ended(event)

    def check(self) -> None:
        """Raises AssertionError when an invariant does not hold."""
        assert (self.failed_with is not None) == (self.state is State.RECOVERY_FAILED), "failed, and with what, go together"
        assert not (self._campaigning and self.is_leader), "a leader does not campaign"

    @property
    def is_leader(self) -> bool:
        return self.state is not State.NOT_LEADER

    def _cluster_seen(self, fingerprint: Fingerprint, *, has_leader: bool) -> list[Effect]:
        self._has_leader = has_leader
        if self.state is State.NOT_LEADER:
            return self._campaign()
        if self.state is State.RECOVERY_FAILED and fingerprint != self.failed_with:
            return self._go_on()
        return []

    def _campaign(self) -> list[Effect]:
        if self._has_leader or self._campaigning:
            return []
        self._campaigning = True
        return [Campaign()]

    def _lease_lost(self) -> list[Effect]:
        if not self.is_leader:
            return []
        self.state, self.failed_with, self._hurry = State.NOT_LEADER, None, 0
        return [StopDirector(), SetTimer(Timer.CAMPAIGN, CAMPAIGN_AGAIN_S)]

    def _timer_fired(self, timer: Timer) -> list[Effect]:
        match timer:
            case Timer.CAMPAIGN:
                return self._campaign() if self.state is State.NOT_LEADER else []
            case Timer.NEXT_EPOCH:
                return [TakeEpoch(self.epoch)] if self.state is State.LEADER_READY else []
            case Timer.RETRY:
                return self._go_on() if self.state is State.RECOVERY_FAILED else []

    def _next_epoch(self, known: int) -> list[Effect]:
        self.epoch, self.state = max(self.epoch, known), State.LEADER_READY
        return [TakeEpoch(self.epoch)]

    def _epoch_taken(self, epoch: int) -> list[Effect]:
        if self.state is not State.LEADER_READY:
            return []
        assert epoch > self.epoch, "an epoch is given once"
        self.epoch = epoch
        return [StartDirector(epoch)]

    def _stalled(self, event: DirectorStalled) -> list[Effect]:
        if self.state is not State.LEADER_READY or event.epoch != self.epoch:
            return []
        self.state, self.failed_with, self.why = State.RECOVERY_FAILED, event.fingerprint, event.why
        return [] if event.again_in_s is None else [SetTimer(Timer.RETRY, event.again_in_s)]

    def _go_on(self) -> list[Effect]:
        self.state, self.failed_with, self.why = State.LEADER_READY, None, ""
        return [LetDirectorGoOn()]

    def _ended(self, event: DirectorEnded) -> list[Effect]:
        """The next epoch: at once after a calm time, else after waits that double."""
        if not self.is_leader:
            return []
        self.epoch, self.state, self.failed_with = max(self.epoch, event.epoch), State.LEADER_READY, None
        self._hurry = 0 if event.lasted_s >= CALM_S else self._hurry + 1
        if self._hurry <= 1:
            return [TakeEpoch(self.epoch)]
        return [SetTimer(Timer.NEXT_EPOCH, min(NEXT_EPOCH_CAP_S, NEXT_EPOCH_S * 2.0 ** (self._hurry - 2)))]
