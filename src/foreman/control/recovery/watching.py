"""Begin to watch: see every log of the layout in the directory, so that from now on its going is seen too.

A worker is registered a moment after it was made; until then its absence means nothing.

Stalls: never. Superseded: a log did not appear, so another epoch must begin. Follows: cleaning up.
"""

from foreman.control.recovery.outcome import Next, Outcome, Superseded
from foreman.control.recovery.recovery import Recovery


async def begin_to_watch(recovery: Recovery) -> Outcome:
    """The phase."""
    layout, tools = recovery.layout, recovery.tools
    assert layout is not None
    if await tools.feed.until(lambda view: all(log in view.services for log in layout.logs), tools.settings.appear_timeout_s):
        return Next("cleaning up")
    missing = [log.id for log in layout.logs if log not in tools.feed.view.services]
    return Superseded(layout.epoch, f"the logs {', '.join(missing)} were lost")
