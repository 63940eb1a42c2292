"""Remove what no layout names: the workers of former attempts and layouts, where this layout and the one before have any.

Only after the new layout stands, as the directory itself proves; only workers that a director made, in an epoch that is over or in this
one (attempt.py says why those are spent for good). Whether they are gone the foreman proves, by their exit and the way of their
directory; what a node did not do in a moment, and what is on other nodes, is done beside the watch, which must not wait for it
(keeping_clean.py).

A node that was asked in this run, where its workers listen, is not asked again when that answer has nothing to remove. What an older
director could still have made is all in it: the question carried this director's generation, so the node has refused every older one
since, and what it took from one before, it showed (node/generations.py). What this director makes itself it asks for, and then the
answer is no longer kept (``Recovery.told``). That it is older than the layout does no harm: which of its names are spent is judged now.
An answer with something to remove may be of a node that listens to another directory's director, so that one is asked anew.

Stalls: never. Follows: nothing; the recovery is complete.
"""

import asyncio
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final

from foreman.control.attempt import is_spent, origin_of
from foreman.control.named import by_node, names_of
from foreman.control.recovery.outcome import Completed, Outcome
from foreman.control.recovery.recovery import Recovery, Tools
from foreman.core.errors import ForemanError, WorkerNotFound
from foreman.directory.errors import DirectoryError
from foreman.directory.records import Layout, NodeRecord, readable
from foreman.kernel.together import together

WITHIN_S: Final = 1.0


async def clean_up(recovery: Recovery) -> Outcome:
    """The phase."""
    layout, old, swept = recovery.layout, recovery.old, recovery.tools.foremen.swept
    assert layout is not None
    named = names_of(layout) | (names_of(old) if old is not None else frozenset())
    nodes = [recovery.view.nodes[id] for id in sorted({worker.node for worker in named}) if id in recovery.view.nodes]
    swept -= {(node.id, node.incarnation) for node in nodes}
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            await remove_spent(recovery.tools, layout, nodes, recovery.told)
    return Completed()


async def remove_spent(
    tools: Tools, layout: Layout, nodes: list[NodeRecord], told: Mapping[str, Iterable[str]] | None = None
) -> dict[str, ForemanError | None]:
    """The nodes where something is left; and why, when the node refused or did not answer. The others are noted as swept.

    ``told``: node → its workers, where that is known well enough.
    """
    if not await _stands(tools, layout):
        return {node.id: None for node in nodes}
    there = by_node(names_of(layout))
    named = {node.id: {worker.id for worker in there.get(node.id, ())} for node in nodes}
    known = told or {}
    clean = {node.id for node in nodes if node.id in known and _to_remove(known[node.id], layout.epoch, named[node.id]) is None}
    tools.foremen.swept |= {(node.id, node.incarnation) for node in nodes if node.id in clean}
    rest = [node for node in nodes if node.id not in clean]
    done = await together(_remove_on(tools, layout.epoch, node, named[node.id]) for node in rest)
    tools.foremen.swept |= {(node.id, node.incarnation) for node, left in zip(rest, done, strict=True) if left is True}
    return {node.id: None if left is False else left for node, left in zip(rest, done, strict=True) if left is not True}


def _to_remove(ids: Iterable[str], epoch: int, named: AbstractSet[str]) -> list[str] | None:
    """Those of a node's workers that are spent; None: nothing is left there but what the layout of ``epoch`` names.

    Workers of a later epoch than this are no director's of this directory. The node is asked to remove none of them, so that it
    says whether it listens.
    """
    several = list(ids)
    spent = [id for id in several if is_spent(id, epoch, named)]
    later = (id for id in several if id not in named and (origin := origin_of(id)) is not None and origin.epoch > epoch)
    return spent if spent or any(later) else None


async def _stands(tools: Tools, layout: Layout) -> bool:
    try:
        return readable(Layout, await tools.directory.get(tools.keys.layout)) == layout
    except DirectoryError:
        return False


async def _remove_on(tools: Tools, epoch: int, node: NodeRecord, named: AbstractSet[str]) -> bool | ForemanError:
    """Whether nothing is left there but what the layout of ``epoch`` names; or why it could not be done."""
    try:
        spent = _to_remove(await tools.foremen.infos(node), epoch, named)
        if spent is None:
            return True
        results = await tools.foremen.remove_workers(node, spent, tools.settings.recruit_timeout_s)
    except ForemanError as why:
        return why
    for id, error in results.items():
        if error is None:
            tools.tell(f"{id} was removed from node {node.id}", "no layout names it")
    return all(error is None or isinstance(error, WorkerNotFound) for error in results.values())
