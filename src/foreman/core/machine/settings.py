"""What the machine is told once: bounds and times of supervision. Where a kind has its own value, that one holds."""

from dataclasses import dataclass, field

from foreman.core.restarting import RestartPolicy


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Times in seconds.

    ``workers_root``: the path under which each worker's directory lies; only shown. ``start_slot_s``: a start that takes longer
    gives its slot to the others; ``start_precedence_s``: then its place in the order of kinds, too; so a slow worker delays nobody.
    ``max_extend_s`` bounds one EXTEND_TIMEOUT_USEC. ``story_lines``: kept per worker.
    """

    workers_root: str = ""
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    start_timeout_s: float = 30.0
    start_parallelism: int = 16
    start_slot_s: float = 1.0
    start_precedence_s: float = 5.0
    kill_again_s: float = 5.0
    max_extend_s: float = 3600.0
    story_lines: int = 200
    max_workers: int = 20_000
    max_requests: int = 100_000
