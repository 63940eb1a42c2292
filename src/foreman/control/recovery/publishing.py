"""Publish the layout: one write that compares everything it stands on.

It succeeds only while this director leads (its record under its lease), its epoch is the highest, and the layout is still the one that the
recovery began from. So each epoch publishes one layout at most, and a late write of a deposed director cannot happen. While it is not
known whether it happened, nothing else is done.

Stalls: the layout is too large for a record. Superseded: one of the comparisons does not hold any more. Follows: watching.
"""

import asyncio

from foreman.control.recovery.outcome import Next, Outcome, Stalled, Superseded
from foreman.control.recovery.recovery import Recovery
from foreman.directory.errors import DirectoryUnavailable, InvalidTransaction
from foreman.directory.port import Absent, Comparison, Put, Unchanged
from foreman.directory.records import Layout, encode, readable


async def publish(recovery: Recovery) -> Outcome:
    """The phase."""
    layout = layout_of(recovery)
    while True:
        recovery.tools.fence.check()
        try:
            outcome = await _publish(recovery, layout)
        except DirectoryUnavailable:
            await asyncio.sleep(recovery.tools.settings.again_s / 2)
        except InvalidTransaction as error:
            return Stalled(f"the layout cannot be written: {error}")
        else:
            return outcome


def layout_of(recovery: Recovery) -> Layout:
    """What the phases before came to."""
    attempt = recovery.attempt
    return Layout(attempt.epoch, attempt.recovery_id, recovery.first, recovery.logs, recovery.storage.teams, recovery.last)


async def _publish(recovery: Recovery, layout: Layout) -> Outcome:
    tools, key = recovery.tools, recovery.tools.keys.layout
    stands_on = recovery.view.revisions.get(key, 0)
    comparisons: list[Comparison] = [
        Unchanged(tools.keys.leader, tools.leader_revision),
        Unchanged(tools.keys.epoch, tools.epoch_revision),
        Unchanged(key, stands_on) if stands_on else Absent(key),
    ]
    committed = await tools.directory.transact(comparisons, [Put(key, encode(layout))])
    if not committed.succeeded:
        there = await tools.directory.get(key)
        if readable(Layout, there) != layout:
            return Superseded(layout.epoch, "another director has begun")
    recovery.layout = layout
    tools.tell(f"layout {layout.epoch} was published", f"{len(layout.logs)} logs, {len(layout.teams)} storage teams")
    return Next("watching")
