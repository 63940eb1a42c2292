"""What this node has in the directory: the node and all its services under one lease, each change one transaction.

Every transaction rewrites the node's key and compares its revision. So a transaction whose answer was lost either happened before the
next read, or cannot happen any more: a withdrawn service never comes back through a late write, and services are never written
without their node. Decides nothing about when: that is the gateway.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import ClassVar, Final

from foreman.directory.errors import DirectoryError, LeaseExpired
from foreman.directory.health_record import HealthRecord
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Comparison, Delete, Deleted, Directory, KeyRange, KeyValue, Lease, Operation, Put, Unchanged, as_it_is
from foreman.directory.records import NodeRecord, ServiceRecord, encode

Truth = Mapping[str, ServiceRecord]
"""Worker id → its service, for each that is healthy."""

_TRIES: Final = 3


class RegistrationLost(DirectoryError):
    """The node's key is not as this gateway left it: a lost answer, somebody's deletion, or another gateway with the same node id."""

    code, http_status = "registration_lost", 409
    fields: ClassVar[tuple[str, ...]] = ("node",)

    def __init__(self, node: str) -> None:
        super().__init__(node)
        self.node = node

    def __str__(self) -> str:
        return f"the registration of node {self.node} was changed by somebody else; it is made again"


class Registration:
    def __init__(self, directory: Directory, keys: ClusterKeys, node: NodeRecord, lease_s: float) -> None:
        self._directory, self._keys, self._lease_s = directory, keys, lease_s
        self._node, self._node_key, self._node_value = node, keys.node(node.id), encode(node)
        self._lease: Lease | None = None
        self._mod_revision = 0
        self._standing: dict[bytes, bytes] = {}
        self._entries: dict[str, tuple[ServiceRecord, bytes, bytes]] = {}
        """Key and value of each service as last wanted: one change among a thousand services encodes one."""

    @property
    def keep_alive_every_s(self) -> float:
        """A third of the lease: two calls may fail before it runs out."""
        return self.lease_s / 3

    @property
    def lease_s(self) -> float:
        """How long the registration stands when nobody keeps it alive."""
        return self._lease.ttl_s if self._lease is not None else self._lease_s

    async def put_back(self, truth: Truth, health: HealthRecord | None = None) -> None:
        """Make the directory show the node with exactly these services, whatever it shows now. Raises DirectoryError."""
        lease = await self._living_lease()
        for _ in range(_TRIES):
            snapshot = await self._directory.read(self._keys.services_of(self._node.id))
            node = await self._directory.get(self._node_key)
            strays = {entry.key: entry.value for entry in snapshot.entries}
            unmoved = {entry.key: entry.value for entry in snapshot.entries if entry.lease == lease.id}
            unchanged = as_it_is(self._node_key, node)
            if await self._write(unchanged, lease, self._wanted(truth, health), unmoved, strays):
                return
        raise RegistrationLost(self._node.id)

    async def change(self, truth: Truth, health: HealthRecord | None = None) -> None:
        """The same, knowing what stands there. Raises RegistrationLost and what the directory raises; then :meth:`put_back`."""
        assert self._lease is not None, "put_back comes first"
        unchanged, wanted = Unchanged(self._node_key, self._mod_revision), self._wanted(truth, health)
        if not await self._write(unchanged, self._lease, wanted, self._standing, self._standing):
            raise RegistrationLost(self._node.id)

    def is_news(self, health: HealthRecord | None) -> bool:
        """Whether the directory does not show it yet."""
        return health is not None and self._standing.get(self._keys.health(self._node.id)) != encode(health)

    async def stand_guard(self) -> None:
        """Until the node's key is taken away or written by somebody else: then RegistrationLost, or what the directory raises.

        Without it a registration that an operator deleted, or that a second node with this id replaced, would stay lost until the
        next change.
        """
        assert self._lease is not None, "put_back comes first"
        async with aclosing(self._directory.watch(KeyRange.of_key(self._node_key), after=self._mod_revision)) as watch:
            async for changes in watch:
                if not all(self._is_mine(event) for event in changes.events):
                    raise RegistrationLost(self._node.id)

    def _is_mine(self, event: KeyValue | Deleted) -> bool:
        return isinstance(event, KeyValue) and self._lease is not None and (event.value, event.lease) == (self._node_value, self._lease.id)

    async def keep_alive(self) -> None:
        """Raises LeaseExpired."""
        assert self._lease is not None, "put_back comes first"
        await self._directory.keep_alive(self._lease.id)

    async def end(self) -> None:
        """Leave: the node and its services go at once, and no late write can bring them back."""
        if self._lease is not None:
            lease, self._lease = self._lease, None
            await self._directory.revoke_lease(lease.id)

    async def _living_lease(self) -> Lease:
        if self._lease is not None:
            try:
                await self._directory.keep_alive(self._lease.id)
            except LeaseExpired:
                self._lease = None
        if self._lease is None:
            self._lease = await self._directory.grant_lease(self._lease_s)
        return self._lease

    def _wanted(self, truth: Truth, health: HealthRecord | None) -> dict[bytes, bytes]:
        before, self._entries = self._entries, {}
        for id, service in truth.items():
            entry = before.get(id)
            if entry is None or entry[0] is not service:
                entry = service, self._keys.service(self._node.id, service.name), encode(service)
            self._entries[id] = entry
        wanted = {key: value for _, key, value in self._entries.values()}
        return wanted if health is None else {**wanted, self._keys.health(self._node.id): encode(health)}

    async def _write(
        self,
        condition: Comparison,
        lease: Lease,
        wanted: dict[bytes, bytes],
        unmoved: Mapping[bytes, bytes],
        standing: Mapping[bytes, bytes],
    ) -> bool:
        """``unmoved``: what stands under this lease and need not be put when it is the same. ``standing``: all that stands."""
        operations: list[Operation] = [Put(self._node_key, self._node_value, lease.id)]
        operations += [Put(key, value, lease.id) for key, value in wanted.items() if unmoved.get(key) != value]
        operations += [Delete.key(key) for key in standing if key not in wanted]
        committed = await self._directory.transact([condition], operations)
        if committed.succeeded:
            self._mod_revision, self._standing = committed.revision, wanted
        return committed.succeeded
