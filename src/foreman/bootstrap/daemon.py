"""``foreman up``: a node in the foreground, until somebody asks it to end.

TERM or INT ends it gracefully; a second one kills the workers instead of waiting for them; HUP reads the configuration again. If this
process is killed, its workers run on for ``orphan_grace`` and the next ``foreman up`` adopts them.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from foreman.bootstrap.assembly import Node, NodePlan
from foreman.core.errors import InvalidConfiguration
from foreman.core.views import NodeInfo
from foreman.node.configuration import Configuration

log = structlog.get_logger("foreman.node")

ReadAgain = Callable[[], Configuration]


async def run_node(
    configuration: Configuration,
    *,
    on_listening: Callable[[NodeInfo, Sequence[str]], None] = lambda _node, _addresses: None,
    read_again: ReadAgain | None = None,
    plan: NodePlan | None = None,
) -> int:
    """Run until the node has ended; the process's exit code. ``on_listening`` is called once, with the node and its addresses.

    ``read_again``: what HUP does. ``plan``: for tests, which bring their own kinds. Raises what :meth:`Node.start` raises.
    """
    chosen = (
        NodePlan(configuration, configuration.supervision.orphan_grace_s) if plan is None else replace(plan, configuration=configuration)
    )
    node = await Node.start(chosen)
    signals = _Signals(node, read_again)
    signals.heed()
    try:
        on_listening(await node.foreman.node(), node.door.addresses if node.door is not None else ())
        if node.door is not None:
            node.door.knock()  # a daemon will be asked something soon
        await node.ended()
    finally:
        await node.stop()
        signals.ignore()
    return 0


class _Signals:
    def __init__(self, node: Node, read_again: ReadAgain | None) -> None:
        self._node = node
        self._read_again = read_again
        self._asked = 0
        self._hurrying: asyncio.Task[None] | None = None

    def heed(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def ignore(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _end(self) -> None:
        self._asked += 1
        if self._asked == 1:
            self._node.begin_to_end()
        elif self._hurrying is None:
            self._hurrying = asyncio.create_task(self._node.hurry())

    def _reload(self) -> None:
        if self._read_again is None:
            return
        try:
            told = self._node.reload(self._read_again())
        except InvalidConfiguration as error:
            log.error("the configuration is not valid; nothing was changed", problems=error.problems)
            return
        log.info("the configuration was read again", applied=told.applied, left_until_restart=told.left)
