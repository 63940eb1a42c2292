"""What a worker is, as it stands on disk: DATA/workers/ID/manifest.json, made durable before the worker's first start.

``encode`` and ``parse`` are each other's inverse. ``parse`` is total: any bytes give a Manifest or one member of the closed union
:data:`ManifestProblem`, each of which says in a sentence what is wrong. Never touches a file.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from foreman.core.canonical_json import JsonProblem, compact_json, json_problems, read_json, write_json
from foreman.core.errors import ForemanError
from foreman.core.ids import BatchId, WorkerId, parse_cluster_name

FORMAT: Final = 1
MAX_PARAMS_BYTES: Final = 65_536
"""As JSON. Params reach the worker as one environment variable, and the kernel takes 128 KiB there (execve(2), MAX_ARG_STRLEN)."""
MAX_MANIFEST_BYTES: Final = 131_072
LONGEST_KIND: Final = 200

_FIELDS: Final = frozenset({"format", "cluster", "id", "kind", "params", "created_at", "desired"})
_OPTIONAL: Final = frozenset({"batch"})


class Desired(enum.StrEnum):
    """What a worker should be, also after a restart of the node."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Manifest:
    """``created_at`` (Unix s) is for people, and tells two workers apart that had the same id one after the other.

    ``batch``: the new_workers call that made it, if one did; undone with it when it was not finished.
    """

    cluster: str
    id: WorkerId
    kind: str
    params: Mapping[str, Any]
    created_at: float
    desired: Desired = Desired.RUNNING
    batch: BatchId | None = None
    format: int = FORMAT

    def same_worker(self, other: "Manifest") -> bool:
        """Whether creating the one again means the other: same cluster, id, kind and params (1, 1.0 and true are not the same)."""
        mine, theirs = (self.cluster, self.id, self.kind), (other.cluster, other.id, other.kind)
        return mine == theirs and params_json(self.params) == params_json(other.params)


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no manifest."""

    def __str__(self) -> str:
        return "it has no manifest.json"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """There is something, but not a file that can be read. ``why``: "EIO", "a symbolic link", …"""

    why: str

    def __str__(self) -> str:
        return f"its manifest.json cannot be read: {self.why}"


@dataclass(frozen=True, slots=True)
class Truncated:
    """Empty, or ends before it is complete. ``size_bytes``: what is there."""

    size_bytes: int

    def __str__(self) -> str:
        return f"its manifest.json is cut short ({self.size_bytes} bytes)"


@dataclass(frozen=True, slots=True)
class TooLarge:
    def __str__(self) -> str:
        return f"its manifest.json is larger than {MAX_MANIFEST_BYTES} bytes"


@dataclass(frozen=True, slots=True)
class NotJson:
    why: str

    def __str__(self) -> str:
        return f"its manifest.json is not valid: {self.why}"


@dataclass(frozen=True, slots=True)
class UnknownFormat:
    """Written by another version of foreman (or by something else)."""

    format: str

    def __str__(self) -> str:
        return f"its manifest.json has format {self.format}; this foreman knows format {FORMAT}"


@dataclass(frozen=True, slots=True)
class WrongShape:
    field: str
    why: str

    def __str__(self) -> str:
        return f"its manifest.json is not valid: {self.field} {self.why}"


ManifestProblem = Missing | Unreadable | Truncated | TooLarge | NotJson | UnknownFormat | WrongShape


def params_json(params: Mapping[str, Any]) -> str:
    """Params as the worker gets them (FOREMAN_PARAMS): equal params are equal text."""
    return compact_json(dict(params))


def params_problems(params: Mapping[str, Any]) -> list[str]:
    """What keeps any kind's params from being written down and read back the same; to be asked at the door. None: []."""
    problems = json_problems(params, "params")
    if problems:
        return problems
    size_bytes = len(params_json(params))
    return [f"params are {size_bytes} bytes as JSON; the limit is {MAX_PARAMS_BYTES}"] if size_bytes > MAX_PARAMS_BYTES else []


def encode(manifest: Manifest) -> bytes:
    """The manifest as one line of canonical JSON. Its params must be free of problems (:func:`params_problems`)."""
    facts: dict[str, Any] = {
        "format": manifest.format,
        "cluster": manifest.cluster,
        "id": manifest.id,
        "kind": manifest.kind,
        "params": dict(manifest.params),
        "created_at": manifest.created_at,
        "desired": manifest.desired.value,
    }
    if manifest.batch is not None:
        facts["batch"] = manifest.batch
    return write_json(facts)


def parse(data: bytes) -> Manifest | ManifestProblem:
    """The manifest, or what is wrong with it."""
    if len(data) > MAX_MANIFEST_BYTES:
        return TooLarge()
    value = read_json(data)
    if isinstance(value, JsonProblem):
        return Truncated(len(data)) if value.cut_short else NotJson(value.sentence)
    if not isinstance(value, dict):
        return NotJson("it is not an object")
    # The format comes first: what another version wrote is told as that, not as a list of strange fields.
    if "format" in value and (type(value["format"]) is not int or value["format"] != FORMAT):
        return UnknownFormat(repr(value["format"])[:40])
    return _shape(value)


def _shape(value: dict[str, Any]) -> Manifest | WrongShape:
    for name in sorted(_FIELDS - value.keys()):
        return WrongShape(name, "is missing")
    for name in sorted(value.keys() - _FIELDS - _OPTIONAL):
        return WrongShape(repr(name)[:80], "is not a field of this format")
    for name, (fits, why) in _CHECKS.items():
        if name in value and not fits(value[name]):
            return WrongShape(name, why)
    problems = params_problems(value["params"])
    if problems:
        return WrongShape("params", f"do not fit: {problems[0]}")
    return Manifest(
        cluster=value["cluster"],
        id=WorkerId(value["id"]),
        kind=value["kind"],
        params=value["params"],
        created_at=float(value["created_at"]),
        desired=Desired(value["desired"]),
        batch=None if value.get("batch") is None else BatchId(value["batch"]),
    )


def _is_name(value: Any) -> bool:
    try:
        parse_cluster_name(value)
    except ForemanError:
        return False
    return True


_NAME_RULE: Final = "must be 1 to 63 of a-z, 0-9, _ and -"
_CHECKS: Final = {
    "cluster": (_is_name, _NAME_RULE),
    "id": (_is_name, _NAME_RULE),
    "kind": (lambda value: isinstance(value, str) and 0 < len(value) <= LONGEST_KIND, "must be text, not empty"),
    "params": (lambda value: isinstance(value, dict), "must be an object"),
    "created_at": (lambda value: type(value) in {int, float} and value >= 0, "must be a time in Unix seconds"),
    "desired": (lambda value: value in {"running", "stopped"} if isinstance(value, str) else False, "must be running or stopped"),
    "batch": (lambda value: value is None or _is_name(value), _NAME_RULE),
}
