"""Names that cannot be wrong: parsed once at the door, trusted everywhere inside.

A worker id becomes part of a path, of a socket name and of the cluster's directory, so everything that is not
plainly harmless is refused before any effect (``..``, ``/``, NUL, upper case, empty, 64 characters).
"""

import re
from typing import Final, NewType

from foreman.core.errors import InvalidClusterName, InvalidWorkerId

WorkerId = NewType("WorkerId", str)
"""A checked worker id. Only :func:`parse_worker_id` makes one."""

Incarnation = NewType("Incarnation", str)
"""One start of a worker: a fresh random name (16 hex digits) for each, never used again. News that names another is stale."""

RequestId = NewType("RequestId", int)
"""One call waiting for an answer from the machine. Local to one server process."""

BatchId = NewType("BatchId", str)
"""One batch in the journal. Survives the server."""

MAX_ID_LENGTH: Final = 63
_NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)


def parse_worker_id(text: object) -> WorkerId:
    """The id, or InvalidWorkerId. Takes anything: what comes in at a door has no type yet."""
    if isinstance(text, str) and _ID.fullmatch(text):
        return WorkerId(text)
    raise InvalidWorkerId(text if isinstance(text, str) else repr(text))


def parse_cluster_name(text: object) -> str:
    """A cluster's name, or InvalidClusterName. The same alphabet as a worker id, because both make up a service's name."""
    if isinstance(text, str) and _ID.fullmatch(text):
        return text
    raise InvalidClusterName(text if isinstance(text, str) else repr(text))


def is_node_name(text: str) -> bool:
    """Whether it can be what people call a node: a word, as a host name is one."""
    return _NODE_NAME.fullmatch(text) is not None


def node_name_of(host: str) -> str:
    """What a node on this host is called: the host's name as a word, or "" when nothing of it can be one."""
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", host, flags=re.ASCII).lstrip("._-")[:MAX_ID_LENGTH]
    return word.rstrip("._-")


def service_name(cluster: str, worker: WorkerId) -> str:
    """The name under which the whole cluster knows a worker: ``{cluster}_{id}``."""
    return f"{cluster}_{worker}"
