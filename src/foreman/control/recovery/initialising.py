"""The first time: there is no layout, so the cluster begins empty, at version 0.

That nobody made a layout yet is only believed when no node has data that a director's workers took in: otherwise the directory has lost
the layout (emptied, restored from an old copy), and beginning anew would hide that data. That is said, and nothing is done.

Stalls: there is such data; or a node cannot say. Follows: recruiting logs.
"""

from foreman.control.attempt import origin_of
from foreman.control.recovery.outcome import Next, Outcome, Stalled
from foreman.control.recovery.recovery import Recovery
from foreman.control.together import together
from foreman.core.errors import ForemanError
from foreman.core.views import WorkerInfo
from foreman.directory.records import NodeRecord


async def initialise(recovery: Recovery) -> Outcome:
    """The phase."""
    found = await together(_former_data(recovery, node) for _, node in sorted(recovery.view.nodes.items()))
    left = tuple(what for several in found for what in several)
    if left:
        why = (
            "the directory knows no layout, but nodes have data of an earlier one, or cannot say; beginning anew would lose it. Restore "
            "the directory, or give the data up by removing these workers (`foreman rm` on their nodes)"
        )
        return Stalled(why, left, recovery.tools.settings.again_s)
    recovery.first = recovery.last = 0
    return Next("recruiting logs")


async def _former_data(recovery: Recovery, node: NodeRecord) -> list[str]:
    """A sentence for each worker that an earlier director made and that is not known to be empty."""
    try:
        infos = await recovery.tools.foremen.infos(node)
    except ForemanError as error:
        return [f"node {node.id}: {error}"]
    origins = {id: origin_of(id) for id in infos}
    former = [infos[id] for id, origin in origins.items() if origin is not None and origin.recovery_id != recovery.attempt.recovery_id]
    told = await together(_data_of(recovery, info) for info in former)
    return [f"{info.id} on node {node.id} {what}" for info, what in zip(former, told, strict=True) if what is not None]


async def _data_of(recovery: Recovery, info: WorkerInfo) -> str | None:
    """None: it is empty, so an attempt that never came to a layout made it."""
    if info.endpoint is None or info.pid is None:
        return f"is {info.state}"
    try:
        if info.kind == "log":
            version = (await recovery.tools.data.log_state(info.endpoint)).last
        else:
            version = (await recovery.tools.data.storage_state(info.endpoint)).latest
    except ForemanError as error:
        return f"cannot say what it has: {error}"
    return f"has data through version {version}" if version else None
