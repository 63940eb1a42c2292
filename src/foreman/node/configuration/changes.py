"""What a reload does: which changed keys apply under running workers, and which wait for a restart of the node. Pure."""

from dataclasses import dataclass

from foreman.node.configuration.keys import KEYS
from foreman.node.configuration.sections import Configuration


@dataclass(frozen=True, slots=True)
class Changes:
    """Dotted keys, ``kinds.NAME`` for a kind. ``left``: changed in the file, not applied until the node is restarted.

    A kind that is new or changed applies: running workers keep what they were started with until their next start. A kind that is
    gone is left, because there may be workers of it.
    """

    applied: tuple[str, ...]
    left: tuple[str, ...]


def changes(old: Configuration, new: Configuration) -> Changes:
    """Compare two configurations of one node."""
    changed = [key for key in KEYS if old.value(key.dotted) != new.value(key.dotted)]
    before, after = {kind.name: kind for kind in old.kinds}, {kind.name: kind for kind in new.kinds}
    new_or_other = [f"kinds.{name}" for name, kind in after.items() if before.get(name) != kind]
    gone = [f"kinds.{name}" for name in before if name not in after]
    return Changes(
        applied=tuple([key.dotted for key in changed if key.live] + new_or_other),
        left=tuple([key.dotted for key in changed if not key.live] + gone),
    )
