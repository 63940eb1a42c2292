"""Room for a worker that runs as another user (``user`` of its kind): it must reach its own directories, and nothing else of the node.

Its data and run directories become its user's. What lies above them gets search permission only (0711): names that a stranger knows
lead nowhere, because everything else in there is 0700 or 0600. Needs root, like the change of user itself. Idempotent; done before
each start, because the kind's user may have been changed meanwhile.
"""

import os
import pwd
from pathlib import Path
from typing import Final

SEARCH: Final = 0o011
MODES: Final = frozenset({0o700, 0o700 | SEARCH})
"""Those of a private directory of the node: closed, or open for the search of workers that are other users'."""


def make_room(user: str, above: tuple[Path, ...], own: tuple[Path, ...]) -> None:
    """``above``: opened for search. ``own``: given to the user; what is in them is not. An unknown user is refused at the start itself.

    Raises OSError.
    """
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        return
    for path in own:
        facts = path.lstat()
        if (facts.st_uid, facts.st_gid) != (entry.pw_uid, entry.pw_gid):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    for path in above:
        mode = path.lstat().st_mode
        if mode & SEARCH != SEARCH:
            path.chmod(mode & 0o7777 | SEARCH)
