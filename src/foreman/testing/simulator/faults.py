"""How rough the simulated world is: probabilities of each fault, all zero when it is calm."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """Each a probability at the moment where the fault can happen. Latencies in simulated seconds."""

    server_crash: float = 0.0
    supervisor_crash: float = 0.0
    disk_error: float = 0.0
    effect_twice: float = 0.0
    start_refused: float = 0.0
    exit_before_ready: float = 0.0
    never_ready: float = 0.0
    exit_later: float = 0.0
    falls_silent: float = 0.0
    ignores_term: float = 0.0
    directory_away: float = 0.0
    stale_news: float = 0.0
    slow: float = 0.0


CALM = Faults()
ROUGH = Faults(
    server_crash=0.01,
    supervisor_crash=0.004,
    disk_error=0.03,
    effect_twice=0.05,
    start_refused=0.05,
    exit_before_ready=0.08,
    never_ready=0.03,
    exit_later=0.15,
    falls_silent=0.05,
    ignores_term=0.1,
    directory_away=0.1,
    stale_news=0.03,
    slow=0.05,
)
