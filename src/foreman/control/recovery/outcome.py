"""How a phase ends. A closed union.

Next(phase)                  go on with that phase
Completed                    the cluster is what it should be; the director watches
Stalled(why, missing)        it cannot go on; from the beginning again when what it depends on has changed, or after ``again_in_s``
Superseded(epoch)            a newer director has begun, or must begin: this one ends
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Next:
    phase: str


@dataclass(frozen=True, slots=True)
class Completed:
    pass


@dataclass(frozen=True, slots=True)
class Stalled:
    """``missing``: each thing waited for, as people will read it. ``again_in_s`` None: time alone will not help."""

    why: str
    missing: tuple[str, ...] = ()
    again_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Superseded:
    """``epoch``: the one that must be exceeded to go on."""

    epoch: int
    why: str


Outcome = Next | Completed | Stalled | Superseded
