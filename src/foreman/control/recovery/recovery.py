"""What one run through the phases knows: what it started from, and what each phase has found out for those after it.

Made anew for every run, from the directory as it is then. Owns no decision; ``tools`` is what the world is reached with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from foreman.control.absences import Absences
from foreman.control.attempt import Attempt
from foreman.control.cluster_view import ClusterView
from foreman.control.feed import Feed
from foreman.control.fence import Fence
from foreman.control.foremen import Foremen
from foreman.control.named import joiners_of
from foreman.control.placement import Place, domain_at, domain_of
from foreman.control.ports import DataPlane, LogState, StorageState
from foreman.control.settings import ControlSettings
from foreman.control.teams import StoragePlan
from foreman.control.versions import VersionVector
from foreman.core.mutations import Version
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Directory
from foreman.directory.records import ClusterSpec, Joiner, Layout, Placement


@dataclass(frozen=True, slots=True)
class Tools:
    """``leader_revision`` and ``epoch_revision``: of the two records that say that this director may write. ``tell``: into the story."""

    directory: Directory
    keys: ClusterKeys
    feed: Feed
    foremen: Foremen
    data: DataPlane
    fence: Fence
    settings: ControlSettings
    absences: Absences
    clock: Callable[[], float]
    tell: Callable[[str, str], None]
    leader_revision: int
    epoch_revision: int
    log_params: Mapping[str, object] = field(default_factory=dict)
    storage_params: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Recovery:
    """``endpoints``: of every worker that was asked after. ``lost``: those that answered, and do not have what the layout made of them.

    ``told``: node → the ids of all its workers, by its last answer in this run. It is taken out when the node is asked for a worker, and
    never comes again (``unsure``) when nobody knows whether that one was made.
    The new logs will hold what is after version ``first``, through ``last``.
    """

    attempt: Attempt
    tools: Tools
    view: ClusterView
    spec: ClusterSpec
    endpoints: dict[Placement, str] = field(default_factory=dict)
    old_logs: dict[Placement, LogState] = field(default_factory=dict)
    old_storage: dict[Placement, StorageState] = field(default_factory=dict)
    not_found: dict[Placement, str] = field(default_factory=dict)
    told: dict[str, frozenset[str]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    lost: set[Placement] = field(default_factory=set)
    vector: VersionVector = field(default_factory=lambda: VersionVector(0, 0))
    first: Version = 0
    last: Version = 0
    logs: tuple[Placement, ...] = ()
    storage: StoragePlan = field(default_factory=lambda: StoragePlan(()))
    layout: Layout | None = None
    joiners: dict[Placement, Joiner] = field(init=False)
    """Of the old layout."""

    def __post_init__(self) -> None:
        self.joiners = {} if self.old is None else joiners_of(self.old)

    @property
    def old(self) -> Layout | None:
        return self.view.layout

    def places(self, capability: str) -> list[Place]:
        """Where workers of this kind may be recruited: nodes that answer, before those that did not lately."""
        able = self.view.capable(capability)
        avoided = self.tools.foremen.avoided()
        chosen = [node for node in able if node.id not in avoided] or able
        return [Place(node.id, domain_of(node)) for node in chosen]

    def domain(self, node: str) -> str:
        """Of a node that may be gone: then it is one by itself."""
        return domain_at(node, self.view.nodes)
