"""Ranges that move, by seed: wishes cut, merge and shift them faster than they are filled, while machines are lost; every key stays held.

The promises of the simulator are looked at after each step (``promises.py``): a member has all that was acknowledged of its team's keys.
They are themselves tested here: who gives up keys too early must be caught. Thousands of seeds: ``RANGE_SEEDS=20000 pytest`` this file.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from foreman.control.holders import Holder, ranges_of
from foreman.control.placement import Place
from foreman.control.recovery import recruiting_storage
from foreman.control.teams import NoMember, Recruit, StoragePlan, plan_teams
from foreman.directory.records import ClusterSpec
from foreman.testing.cluster_simulator.faults import LEASE_S
from foreman.testing.cluster_simulator.promises import BrokenPromise
from foreman.testing.cluster_simulator.wishes import wish_for
from foreman.testing.cluster_simulator.world import Simulation, simulate
from foreman.workers.storage.key_range import KeyRange

SEEDS: Final = int(os.environ.get("RANGE_SEEDS", "10"))
CUTS: Final = (b"c", b"g", b"m", b"s", b"x")


def whimsical(simulation: Simulation) -> ClusterSpec:
    chance, before = simulation.chance, simulation.wishes[-1]
    splits = tuple(sorted(chance.sample(CUTS, chance.randint(0, len(CUTS)))))
    return replace(before, splits=splits, storage_replicas=chance.choice((before.storage_replicas, 1, 2, 3)))


async def wish_and_lose_machines(simulation: Simulation) -> None:
    """A new wish comes whenever it likes, and now and again a machine goes for a while; disks stay."""
    chance = simulation.chance
    for _ in range(8):
        await asyncio.sleep(chance.choice((0.1, 1.0, 3.0, 8.0)))
        wish_for(simulation, whimsical(simulation))
        node = simulation.nodes[chance.choice(sorted(simulation.nodes))]
        if chance.random() < 0.6:
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            node.crash()
            await asyncio.sleep(chance.uniform(0.2, 10.0))
            await node.ended()
            node.start(LEASE_S)


def test_every_key_stays_held_while_ranges_move_and_the_last_wish_comes_true() -> None:
    for seed in range(SEEDS):
        told = simulate(seed, 5, wish_and_lose_machines, ClusterSpec(2, 2, (b"m",), 6.0))
        assert told.acknowledged > 0


def narrow_at_once(
    spec: ClusterSpec, holders: Sequence[Holder], places: Sequence[Place], recruit: Recruit, **how: Any
) -> StoragePlan | NoMember:
    """Members give up all but their first wished range before anybody else was filled."""
    plan = plan_teams(spec, holders, places, recruit, **how)
    if isinstance(plan, NoMember):
        return plan
    return replace(plan, keys={worker: first_of(spec, keys) for worker, keys in plan.keys.items()})


def first_of(spec: ClusterSpec, held: KeyRange) -> KeyRange:
    return next((keys for keys in ranges_of(spec) if held.covers(keys.begin, keys.end)), held)


def cut_at_once(
    spec: ClusterSpec, holders: Sequence[Holder], places: Sequence[Place], recruit: Recruit, **how: Any
) -> StoragePlan | NoMember:
    """Who is away is taken for present: it is counted on for a range, and nobody there holds that."""
    present = [replace(holder, away=False, through=max(1, holder.through), given_up=False) for holder in holders]
    return plan_teams(spec, present, places, recruit, **how)


@pytest.mark.parametrize("wrong", [narrow_at_once, cut_at_once])
def test_who_gives_up_keys_too_early_is_caught(monkeypatch: pytest.MonkeyPatch, wrong: object) -> None:
    monkeypatch.setattr(recruiting_storage, "plan_teams", wrong)
    with pytest.raises(BrokenPromise):
        for seed in range(20):
            simulate(seed, 5, wish_and_lose_machines, ClusterSpec(2, 2, (b"m",), 6.0))
