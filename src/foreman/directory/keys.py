"""Where things stand in the directory of a cluster.

    /{cluster}/nodes/{node}              NodeRecord          under the node's lease
    /{cluster}/services/{node}/{name}    ServiceRecord       under the node's lease
    /{cluster}/health/{node}             HealthRecord        under the node's lease
    /{cluster}/leader                    LeaderRecord        under the leader's lease
    /{cluster}/epoch                     EpochRecord         lasting: the highest epoch a director was given
    /{cluster}/spec                      ClusterSpec         lasting: the wish
    /{cluster}/layout                    Layout              lasting
    /{cluster}/identity                  IdentityRecord      lasting: a name for this history of the directory
    /{cluster}/draining/{node}           DrainRecord         lasting, until the node is taken back
    /{cluster}/requests/{worker}         WorkerRequest       lasting, until the worker is removed
    /{cluster}/status                    StatusRecord        under the leader's lease: what its director does
    /{cluster}/story                     StoryRecord         lasting, bounded: what directors did and why

A service stands below its node, not below its name alone: two nodes never write the same key, so neither can take away or hide the
other's, a node's whole truth is one range, and a name that two nodes claim is seen by whoever reads.
"""

from dataclasses import dataclass

from foreman.core.ids import parse_cluster_name
from foreman.directory.port import KeyRange


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """The keys of one cluster. Raises InvalidClusterName."""

    cluster: str

    def __post_init__(self) -> None:
        parse_cluster_name(self.cluster)

    def node(self, node: str) -> bytes:
        return self._at("nodes", node)

    @property
    def nodes(self) -> KeyRange:
        return KeyRange.of_prefix(self._at("nodes", ""))

    def service(self, node: str, name: str) -> bytes:
        return self._at("services", node, name)

    def services_of(self, node: str) -> KeyRange:
        return KeyRange.of_prefix(self._at("services", node, ""))

    @property
    def services(self) -> KeyRange:
        return KeyRange.of_prefix(self._at("services", ""))

    def health(self, node: str) -> bytes:
        return self._at("health", node)

    @property
    def leader(self) -> bytes:
        return self._at("leader")

    @property
    def epoch(self) -> bytes:
        return self._at("epoch")

    @property
    def spec(self) -> bytes:
        return self._at("spec")

    @property
    def layout(self) -> bytes:
        return self._at("layout")

    @property
    def identity(self) -> bytes:
        return self._at("identity")

    def draining(self, node: str) -> bytes:
        return self._at("draining", node)

    def request(self, worker: str) -> bytes:
        return self._at("requests", worker)

    @property
    def status(self) -> bytes:
        return self._at("status")

    @property
    def story(self) -> bytes:
        return self._at("story")

    @property
    def everything(self) -> KeyRange:
        return KeyRange.of_prefix(self._at(""))

    def _at(self, *parts: str) -> bytes:
        return "/".join(("", self.cluster, *parts)).encode()
