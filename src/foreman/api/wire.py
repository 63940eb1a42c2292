"""Views as JSON and back: the one place where both ends agree on the bytes. Pure.

The views are frozen dataclasses; msgspec reads and writes them directly, so that a listing of a thousand workers costs a
millisecond on either side and no second set of models exists.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from foreman.api.problems import problem_of
from foreman.core.errors import ForemanError
from foreman.core.health import Health
from foreman.core.views import EVENT_NAMES, NodeEvent, NodeInfo, ServiceInfo, StoryLine, WorkerInfo, WorkerRef

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"


class NodeHealth(msgspec.Struct, frozen=True):
    """What GET /v1/health answers: the aggregate, and each worker's own."""

    status: str
    reason: str | None
    workers: dict[str, Health]


def _plain(value: Any) -> Any:
    """What msgspec does not know by itself: read-only mappings of params."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain)


def encode(value: Any) -> bytes:
    """JSON. Text with lone surrogates (a path that is not UTF-8) is sent with replacement characters rather than not at all."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_scrubbed(msgspec.to_builtins(value, enc_hook=_plain)))


def _scrubbed(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case dict():
            return {_scrubbed(key): _scrubbed(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_scrubbed(inner) for inner in value]
        case _:
            return value


def strict_json(body: bytes | bytearray) -> Any:
    """What a JSON body says. Raises ValueError for anything that is not JSON by RFC 8259: NaN, lone surrogates, endless nesting."""
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


decode_refs: Final = msgspec.json.Decoder(list[WorkerRef]).decode
decode_ref: Final = msgspec.json.Decoder(WorkerRef).decode
decode_infos: Final = msgspec.json.Decoder(list[WorkerInfo]).decode
decode_info: Final = msgspec.json.Decoder(WorkerInfo).decode
decode_services: Final = msgspec.json.Decoder(list[ServiceInfo]).decode
decode_story: Final = msgspec.json.Decoder(list[StoryLine]).decode
decode_node: Final = msgspec.json.Decoder(NodeInfo).decode
decode_health: Final = msgspec.json.Decoder(NodeHealth).decode
decode_results: Final = msgspec.json.Decoder(dict[str, dict[str, Any] | None]).decode
_event_decoders: Final[dict[str, Callable[[bytes], NodeEvent]]] = {
    name: msgspec.json.Decoder(kind).decode for name, kind in EVENT_NAMES.items()
}
_event_names: Final = {kind: name for name, kind in EVENT_NAMES.items()}


def event_name(event: NodeEvent) -> str:
    """Its name on the wire."""
    return _event_names[type(event)]


def decode_event(name: str, data: bytes) -> NodeEvent | None:
    """The event, or None for a name from a newer node than this client."""
    decode = _event_decoders.get(name)
    return None if decode is None else decode(data)


def results_to_plain(results: Mapping[str, ForemanError | None]) -> dict[str, Any]:
    """The results of a batch removal: null for success, else the problem."""
    return {id: None if error is None else problem_of(error) for id, error in results.items()}
