"""A director's tools, for tests of one part of it: those that the part uses, and nothing where it must use none."""

from typing import Any

from foreman.control.fence import Fence
from foreman.control.recovery.recovery import Tools
from foreman.control.settings import ControlSettings


def tools_with(**given: Any) -> Tools:
    """``given`` by the names of the fields. The clock stands still, the fence is open, and what is told is heard by nobody."""
    fence = Fence(lambda: 0.0)
    fence.renew(0.0, 10.0)
    unused: dict[str, Any] = dict.fromkeys(("directory", "keys", "feed", "foremen", "data", "absences"))
    usual: dict[str, Any] = {"fence": fence, "settings": ControlSettings(), "clock": lambda: 0.0, "tell": lambda _what, _why: None}
    return Tools(**{**unused, **usual, "leader_revision": 1, "epoch_revision": 1, **given})
