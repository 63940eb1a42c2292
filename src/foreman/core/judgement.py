"""What a directory under DATA/workers is: mine, foreign, broken or busy. Pure; the facts are gathered by node/scan.py.

Only what is mine is started. Everything else is shown with its reason and never touched, because it may be somebody's data.
"""

from dataclasses import dataclass

from foreman.core.errors import InvalidParams, InvalidWorkerId, UnknownKind
from foreman.core.ids import WorkerId, parse_worker_id
from foreman.core.kinds import Kinds
from foreman.core.manifest import Manifest, ManifestProblem


@dataclass(frozen=True, slots=True)
class Mine:
    """A worker of this node, whole."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another cluster's, another worker's, or no worker's at all."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Meant to be a worker here, but what it is cannot be read or cannot be run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Busy:
    """In order, but its lock is held by a process that is not ours."""

    manifest: Manifest
    reason: str


Judgement = Mine | Foreign | Broken | Busy


@dataclass(frozen=True, slots=True)
class Entry:
    """One name under DATA/workers. ``directory``: a directory itself, not a link to one. ``lock_held``: by somebody not ours."""

    name: str
    directory: bool
    manifest: Manifest | ManifestProblem
    lock_held: bool


def worker_name(name: str) -> WorkerId | None:
    """The id when ``name`` can be a worker's; ``lost+found`` and the like cannot, and are not taken for one."""
    try:
        return parse_worker_id(name)
    except InvalidWorkerId:
        return None


def judge(entry: Entry, cluster: str, kinds: Kinds | None) -> Judgement:
    """What ``entry`` is on a node of ``cluster`` that knows ``kinds`` (None: not known here, so not judged)."""
    if worker_name(entry.name) is None:
        return Foreign("its name is not a worker id")
    if not entry.directory:
        return Foreign("it is not a directory")
    if not isinstance(entry.manifest, Manifest):
        return Broken(str(entry.manifest))
    return _judge_manifest(entry, entry.manifest, cluster, kinds)


def _judge_manifest(entry: Entry, manifest: Manifest, cluster: str, kinds: Kinds | None) -> Judgement:
    if manifest.cluster != cluster:
        return Foreign(f"it belongs to cluster {manifest.cluster}, not {cluster}")
    if manifest.id != entry.name:
        return Foreign(f"its manifest.json is that of worker {manifest.id}")
    if kinds is not None:
        try:
            kinds.check(manifest.kind, manifest.params)
        except (UnknownKind, InvalidParams) as error:
            return Broken(str(error))
    if entry.lock_held:
        return Busy(manifest, "its lock is held by a process that is not this node's")
    return Mine(manifest)
