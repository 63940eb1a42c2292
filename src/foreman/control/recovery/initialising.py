"""The first time: there is no layout, so the cluster begins empty, at version 0.

That nobody made a layout yet is only believed when no node has data that a director's workers took in: otherwise the directory has lost
the layout (emptied, restored from an old copy), and beginning anew would hide that data. That is said, and nothing is done.

Stalls: a node has data of an earlier layout, or cannot say. Follows: recruiting logs.
"""

from typing import Final

from foreman.control.attempt import Attempt, origin_of
from foreman.control.cluster_view import ClusterView
from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery, Tools
from foreman.core.errors import ForemanError
from foreman.core.views import WorkerInfo
from foreman.directory.records import NodeRecord
from foreman.kernel.together import together

_LOST: Final = (
    "the directory knows no layout, but nodes have data of an earlier one, or cannot say: it was emptied or replaced. Beginning anew would "
    "lose that data. Restore the directory from a copy, or give the data up by removing these workers (`foreman rm` on their nodes)"
)


async def initialise(recovery: Recovery) -> Outcome:
    """The phase."""
    left = await _left_behind(recovery.tools, recovery.attempt, recovery.view)
    if left:
        return Stalled(_LOST, left, recovery.tools.settings.again_s)
    recovery.first = recovery.last = 0
    return Next("recruiting logs")


async def no_wish(tools: Tools, attempt: Attempt, view: ClusterView) -> Stalled:
    """There is nothing to begin with. Either nobody has wished yet, or the wish is lost together with the layout: then that is said."""
    left = await _left_behind(tools, attempt, view) if view.layout is None else ()
    if left:
        return Stalled(_LOST, left, tools.settings.again_s)
    missing = ("a wish: `foreman cluster configure --logs N --storage-replicas M`",)
    return Stalled("nobody has said what the cluster should be", missing)


async def _left_behind(tools: Tools, attempt: Attempt, view: ClusterView) -> tuple[str, ...]:
    found = await together(_former_data(tools, attempt, node) for _, node in sorted(view.nodes.items()))
    return tuple(what for several in found for what in several)


async def _former_data(tools: Tools, attempt: Attempt, node: NodeRecord) -> list[str]:
    """A sentence for each worker that an earlier director made and that is not known to be empty."""
    try:
        infos = await tools.foremen.infos(node)
    except ForemanError as error:
        return [f"node {node.id}: {error}"]
    origins = {id: origin_of(id) for id in infos}
    former = [infos[id] for id, origin in origins.items() if origin is not None and origin.recovery_id != attempt.recovery_id]
    told = await together(_data_of(tools, info) for info in former)
    return [f"{info.id} on node {node.id} {what}" for info, what in zip(former, told, strict=True) if what is not None]


async def _data_of(tools: Tools, info: WorkerInfo) -> str | None:
    """None: it is empty, so an attempt that never came to a layout made it."""
    if info.endpoint is None or info.pid is None:
        return f"is {info.state}"
    try:
        if info.kind == "log":
            version = (await tools.data.log_state(info.endpoint)).last
        else:
            version = (await tools.data.storage_state(info.endpoint)).latest
    except ForemanError as error:
        return f"cannot say what it has: {error}"
    return f"has data through version {version}" if version else None
