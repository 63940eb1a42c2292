"""When a worker whose process ended is started again: a pure function of its history and now.

Source: Erlang/OTP supervisor(3) for restart types and intensity; exponential back-off with full cap and jitter as in "Exponential
Backoff And Jitter" (AWS Architecture Blog, 2015). The first restart after a stable run is immediate, so that one crash costs
nothing; a worker that keeps crashing waits 0.1 s, 0.2 s, 0.4 s … up to the cap, and after ``max_restarts`` within ``window_s`` it is
given up, which is escalated instead of retried for ever.
"""

from dataclasses import dataclass, replace

from foreman.core.kinds import RestartType


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """``jitter``: each delay is drawn between (1 - jitter) and 1 times its nominal value. Times in seconds."""

    backoff_base_s: float = 0.1
    backoff_cap_s: float = 30.0
    jitter: float = 0.2
    stable_after_s: float = 10.0
    max_restarts: int = 10
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """``restarts``: when the restarts within the window were decided, oldest first. ``in_a_row``: since the last stable run."""

    restarts: tuple[float, ...] = ()
    in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class StartAgain:
    delay_s: float
    history: RestartHistory
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """It ended normally and its restart type wants no other start."""

    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: str


Verdict = StartAgain | Finish | GiveUp


@dataclass(frozen=True, slots=True)
class Ending:
    """How an incarnation ended. ``ran_s``: seconds from readiness to the end; None when it never became ready."""

    normal: bool
    ran_s: float | None
    what: str


def after_ending(kind: RestartType, policy: RestartPolicy, history: RestartHistory, ending: Ending, now: float, chance: float) -> Verdict:
    """What follows an end nobody asked for. ``chance``: a random number in [0, 1) for the jitter."""
    match kind:
        case RestartType.TEMPORARY:
            return (
                Finish(f"{ending.what}; temporary workers are not started again")
                if ending.normal
                else GiveUp(f"{ending.what}; temporary workers are not started again")
            )
        case RestartType.TRANSIENT if ending.normal and ending.ran_s is not None:
            return Finish(f"{ending.what}; it ended normally")
        case RestartType.TRANSIENT | RestartType.PERMANENT:
            return _again(policy, _calmed(policy, history, ending), ending, now, chance)


def _calmed(policy: RestartPolicy, history: RestartHistory, ending: Ending) -> RestartHistory:
    stable = ending.ran_s is not None and ending.ran_s >= policy.stable_after_s
    return replace(history, in_a_row=0) if stable else history


def _again(policy: RestartPolicy, history: RestartHistory, ending: Ending, now: float, chance: float) -> Verdict:
    recent = tuple(when for when in history.restarts if now - when < policy.window_s)
    if len(recent) >= policy.max_restarts:
        return GiveUp(f"{ending.what}; given up after {len(recent)} restarts in {policy.window_s:g} s")
    delay_s = nominal_delay_s(policy, history.in_a_row) * (1 - policy.jitter * chance)
    grown = RestartHistory((*recent, now), history.in_a_row + 1)
    return StartAgain(delay_s, grown, f"{ending.what}; restart {len(grown.restarts)} of {policy.max_restarts} in {policy.window_s:g} s")


def nominal_delay_s(policy: RestartPolicy, in_a_row: int) -> float:
    """0, base, 2 base, 4 base … cap."""
    if in_a_row == 0:
        return 0.0
    return min(policy.backoff_cap_s, policy.backoff_base_s * 2.0 ** min(in_a_row - 1, 62))
