"""Beside the watch: no node keeps a worker that a director made and no layout names.

A recovery cleans up where it knows of something (``recovery.cleaning_up``). Here the others get their turn: each node once under each
leader, and again when it has restarted; each that could not do it before; and each on which such a worker shows itself later, made by a
command that came late. So a recovery asks as many nodes as its layouts name, not as many as there are.
"""

import asyncio
from typing import Final

from foreman.control.attempt import is_spent
from foreman.control.cluster_view import ClusterView
from foreman.control.named import names_of
from foreman.control.recovery.cleaning_up import remove_spent
from foreman.control.recovery.recovery import Tools
from foreman.core.errors import ForeignGeneration
from foreman.directory.records import Layout, NodeRecord

AT_ONCE: Final = 32
"""Nodes that are asked side by side."""
LOOK_EVERY_S: Final = 1.0


async def keep_clean(tools: Tools, layout: Layout) -> None:
    """Without end."""
    told: set[str] = set()
    named = frozenset(worker.id for worker in names_of(layout))
    seen = ClusterView()
    while True:
        news, before, seen = tools.feed.news, seen, tools.feed.view
        nodes = _unswept(seen, tools.foremen.swept) if seen.nodes is not before.nodes else {}
        if seen.services is not before.services:
            nodes |= _with_strays(seen, layout.epoch, named)
        left = await _sweep(tools, layout, list(nodes.values()), told)
        if left:
            await asyncio.sleep(tools.settings.again_cap_s)
            seen = ClusterView()  # look at all of it again
        else:
            await asyncio.sleep(LOOK_EVERY_S)  # once for many changes
            await tools.feed.beyond(news)


def _unswept(view: ClusterView, swept: set[tuple[str, str]]) -> dict[str, NodeRecord]:
    return {id: node for id, node in view.nodes.items() if (id, node.incarnation) not in swept}


def _with_strays(view: ClusterView, epoch: int, named: frozenset[str]) -> dict[str, NodeRecord]:
    strays = {at.node for at in view.services if is_spent(at.id, epoch, named)}
    return {id: view.nodes[id] for id in strays if id in view.nodes}


async def _sweep(tools: Tools, layout: Layout, nodes: list[NodeRecord], told: set[str]) -> bool:
    """Whether something is left."""
    is_left = False
    for at in range(0, len(nodes), AT_ONCE):
        some = sorted(nodes[at : at + AT_ONCE], key=lambda node: node.id)
        left = await remove_spent(tools, layout, some)
        is_left = is_left or bool(left)
        for node, why in left.items():
            if isinstance(why, ForeignGeneration) and node not in told:
                told.add(node)
                tools.tell(f"node {node} is left alone", str(why))
    return is_left
