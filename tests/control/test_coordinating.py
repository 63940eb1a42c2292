"""The coordinator's decisions, over any order of events: one director at a time, of an ever higher epoch, and none without the lease."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from foreman.control import coordinating as c
from foreman.control.cluster_view import Fingerprint


class AnyOrder(RuleBasedStateMachine):
    """The world answers effects when it likes, late, or never; the lease may go at any moment."""

    @initialize()
    def begin(self) -> None:
        self.machine = c.CoordinatorMachine()
        self.directing: int | None = None
        self.pending: list[c.Effect] = []
        self.timers: set[c.Timer] = set()
        self.epochs: list[int] = []
        self.highest = 0
        self.has_lease = False
        self.stalled_with: Fingerprint | None = None
        self.fingerprint = 0

    def tell(self, event: c.Event) -> list[c.Effect]:
        effects = self.machine.handle(event)
        self.machine.check()
        for effect in effects:
            self.see(effect)
        return effects

    def see(self, effect: c.Effect) -> None:
        match effect:
            case c.StartDirector(epoch):
                assert self.has_lease, "a director without a lease"
                assert not self.epochs or epoch > self.epochs[-1], "epochs do not increase"
                self.epochs.append(epoch)
                self.directing, self.stalled_with = epoch, None
            case c.StopDirector():
                self.directing = None
                self.pending = [each for each in self.pending if isinstance(each, c.Campaign)]
            case c.SetTimer(timer, in_s):
                assert in_s > 0, "a timer of no time is a loop"
                self.timers.add(timer)
            case c.LetDirectorGoOn():
                assert self.directing is not None
                self.stalled_with = None
            case c.Campaign() | c.ReadWhole() | c.TakeEpoch():
                self.pending.append(effect)

    @rule(has_leader=st.booleans(), changes=st.booleans())
    def cluster_seen(self, *, has_leader: bool, changes: bool) -> None:
        self.fingerprint += changes
        failed = self.machine.state is c.State.RECOVERY_FAILED
        effects = self.tell(c.ClusterSeen(has_leader, (self.fingerprint,)))
        if failed:
            assert (c.LetDirectorGoOn() in effects) == ((self.fingerprint,) != self.failed_with)

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), succeeds=st.booleans())
    def answer(self, data: st.DataObject, *, succeeds: bool) -> None:
        effect = self.pending.pop(data.draw(st.integers(0, len(self.pending) - 1)))
        match effect:
            case c.Campaign():
                self.has_lease = succeeds
                self.tell(c.Elected() if succeeds else c.NotElected())
            case c.ReadWhole():
                self.tell(c.WholeRead(self.highest))
            case c.TakeEpoch(above):
                self.highest = max(self.highest, above) + 1
                self.tell(c.EpochTaken(self.highest))
            case _:
                raise AssertionError(effect)

    @rule(others=st.integers(1, 3))
    def another_leader_took_epochs(self, others: int) -> None:
        if not self.has_lease:
            self.highest += others

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def timer(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.timers)))
        self.timers.discard(chosen)
        self.tell(c.TimerFired(chosen))

    @precondition(lambda self: self.directing is not None and self.machine.state is c.State.LEADER_READY)
    @rule(again=st.sampled_from([None, 0.25]))
    def stalls(self, again: float | None) -> None:
        assert self.directing is not None
        self.failed_with: Fingerprint = (self.fingerprint,)
        effects = self.tell(c.DirectorStalled(self.directing, "no node", self.failed_with, again))
        assert effects == ([] if again is None else [c.SetTimer(c.Timer.RETRY, again)])

    @precondition(lambda self: self.directing is not None)
    @rule(lasted_s=st.sampled_from([0.0, 60.0]))
    def ends(self, lasted_s: float) -> None:
        assert self.directing is not None
        ended, self.directing = self.directing, None
        self.tell(c.DirectorEnded(ended, lasted_s))

    @rule()
    def lease_lost(self) -> None:
        self.has_lease = False
        effects = self.tell(c.LeaseLost())
        assert not effects or effects[0] == c.StopDirector(), "the director is stopped before anything else"
        assert self.directing is None
        assert self.machine.state is c.State.NOT_LEADER

    @invariant()
    def only_a_leader_directs(self) -> None:
        assert self.directing is None or (self.has_lease and self.machine.is_leader)


TestAnyOrder = AnyOrder.TestCase


@given(st.integers(0, 2**62), st.integers(1, 12))
def test_directors_that_end_at_once_are_followed_ever_more_slowly(known: int, times: int) -> None:
    machine = c.CoordinatorMachine()
    machine.handle(c.ClusterSeen(has_leader=False, fingerprint=()))
    machine.handle(c.Elected())
    assert machine.handle(c.WholeRead(known)) == [c.TakeEpoch(known)]
    waits: list[float] = []
    for number in range(1, times + 1):
        assert machine.handle(c.EpochTaken(known + number)) == [c.StartDirector(known + number)]
        for effect in machine.handle(c.DirectorEnded(known + number, 0.0)):
            if isinstance(effect, c.SetTimer):
                waits.append(effect.in_s)
                assert machine.handle(c.TimerFired(effect.timer)) == [c.TakeEpoch(known + number)]
    assert waits == sorted(waits)
    assert len(waits) == times - 1
    assert all(wait <= c.NEXT_EPOCH_CAP_S for wait in waits)
