"""How long a client waits, and what it checks before it sends: the form of a worker that is asked for. Pure.

A wrong one is the same error here as it would be at the node.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from foreman.core.errors import InvalidParams, InvalidRequest
from foreman.core.ids import parse_worker_id

ANSWER_WITHIN_S: Final = 30.0
"""How long a question may take that the node answers from memory."""
MARGIN_S: Final = 5.0
"""A call waits so much longer than the node was told to take, because the node's own time-out says more."""


def parts(item: object) -> tuple[Any, ...]:
    """(id, kind) or (id, kind, params). Raises InvalidRequest."""
    if isinstance(item, tuple | list) and len(item) in {2, 3}:
        return tuple(item)
    raise InvalidRequest([f"each item must be (id, kind) or (id, kind, params), not {item!r:.80}"])


def worker_body(id: object, kind: object, params: object = None) -> dict[str, Any]:
    """The request for one worker. What JSON cannot say is refused here: it could only arrive as something else."""
    worker, name = parse_worker_id(id), str(kind)
    given = {} if params is None else params
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidParams(name, ["params must be an object with names as keys"])
    try:
        json.dumps(dict(given), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParams(name, [f"params must be JSON: {error}"]) from error
    return {"id": worker, "kind": name, "params": dict(given)}
