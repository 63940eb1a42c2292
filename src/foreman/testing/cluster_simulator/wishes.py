"""What people wish for, by seed, and how they say it."""

from random import Random
from typing import Final

from foreman.directory.port import Put
from foreman.directory.records import ClusterSpec, encode
from foreman.testing.cluster_simulator.promises import KEYS
from foreman.testing.cluster_simulator.stage import Stage

CUTS: Final = (b"g", b"m", b"s")


def splits_by(chance: Random) -> tuple[bytes, ...]:
    """Nowhere to three times."""
    return tuple(sorted(chance.sample(CUTS, chance.randint(0, len(CUTS)))))


def another_wish(before: ClusterSpec, chance: Random) -> ClusterSpec:
    """Perhaps the same."""
    splits = before.splits if chance.random() < 0.3 else splits_by(chance)
    return ClusterSpec(chance.randint(1, 3), chance.randint(2, 3), splits, before.replace_after_s)


def wish_for(stage: Stage, wish: ClusterSpec) -> None:
    """Written into the directory, if it is another one."""
    if wish != stage.wishes[-1]:
        stage.say("people", f"wish {wish}")
        stage.wishes.append(wish)
        stage.store.transact([], [Put(KEYS.spec, encode(wish))])
