"""Real nodes for the cluster's tests: `foreman up` each, a data directory each, one SQLite directory for all of them.

Owns the processes. What would outlive a killed node (its supervisor, its workers) is killed by the pids that the node told before.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from foreman.api.client import RemoteForeman
from foreman.cli.certificates import Authority, Use, new_authority
from foreman.control.cluster_view import ClusterView, view_of
from foreman.core.errors import ForemanError
from foreman.core.mutations import Mutation, Set
from foreman.core.views import NodeInfo, WorkerInfo
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from foreman.directory.records import Layout, Placement, StorageTeam
from foreman.workers.clients import LogSet, StorageClient
from foreman.workers.storage.key_range import KeyRange
from tests.deadline import wait_until_async

CLUSTER: Final = "demo"
PASSWORD_FILE: Final = "password"
LEASE_S: Final = 2.0
PROGRAM: Final = ("-m", "foreman")
ALL_KEYS: Final = StorageTeam(b"", None, (Placement("anybody", "anywhere"),))
HEALED_WITHIN_S: Final = 40.0
"""The lease, the rest of a start on a busy machine, and the recovery."""


@dataclass(frozen=True)
class Machine:
    """Where a node runs. ``host``: its address. ``inside``: what is put before a command so that it runs there."""

    host: str = "127.0.0.1"
    inside: tuple[str, ...] = ()


@dataclass
class RealNode:
    """``info``: from when it was last up. ``program``: what python is told to run."""

    name: str
    data: Path
    config: Path
    output: IO[bytes]
    process: "subprocess.Popen[bytes] | None" = None
    info: NodeInfo | None = None
    pids: set[int] = field(default_factory=set)
    machine: Machine = Machine()
    program: tuple[str, ...] = PROGRAM

    async def up(self) -> None:
        command = [*self.machine.inside, sys.executable, *self.program, "up", "--config", str(self.config)]
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output, start_new_session=True)
        await wait_until_async(self._answers, timeout_s=20.0, what=f"{self.name} answers")

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended"
        try:
            async with RemoteForeman.connect(self.data) as foreman:
                self.info = await foreman.node()
        except ForemanError:  # not yet; perhaps the socket of its last life is still there
            return False
        return True

    async def remember(self) -> None:
        """Which processes die when the machine does."""
        async with RemoteForeman.connect(self.data) as foreman:
            self.info = await foreman.node()
            self.pids = {info.pid for info in await foreman.infos() if info.pid is not None}

    @property
    def id(self) -> str:
        assert self.info is not None
        return self.info.node_id

    async def pull_the_plug(self) -> None:
        """KILL the server, the supervisor and every worker, as a lost machine does. Its data stays."""
        await self.remember()
        assert self.process is not None
        assert self.info is not None
        for pid in (self.process.pid, self.info.supervisor_pid, *self.pids):
            if pid is not None:
                _kill(pid)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the server alone; its workers go on."""
        assert self.process is not None
        self.process.send_signal(number)

    async def down(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                await asyncio.to_thread(self.process.wait, 20)
            except subprocess.TimeoutExpired:
                await self.pull_the_plug()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@dataclass
class RealCluster:
    """``nodes`` by name; ``directory``: the URL of the directory."""

    nodes: Mapping[str, RealNode]
    directory: str

    async def view(self) -> ClusterView:
        keys = ClusterKeys(CLUSTER)
        async with open_directory(self.directory) as directory:
            return view_of(keys, await directory.read(keys.everything))

    async def serving(self, above: int = 0, *, members: int = 1) -> Layout:
        """The layout, once one of an epoch ``above`` is watched over, has all its logs and as many members in each team."""

        async def holds() -> tuple[Layout, ...]:
            view = await self.view()
            layout = view.watched
            if layout is None or layout.epoch <= above:
                return ()
            whole = all(log in view.services for log in layout.logs)
            return (layout,) if whole and all(len(team.members) >= members for team in layout.teams) else ()

        try:
            return (await wait_until_async(holds, timeout_s=HEALED_WITHIN_S, what=f"a layout above {above} serves"))[0]
        except AssertionError as late:
            raise AssertionError(f"{late}\n{await self.story()}") from None

    async def cut_at(self, *splits: bytes, above: int = 0, members: int = 1) -> Layout:
        """As ``serving``, once the key space is cut there, nobody joins any more and each team has just so many members."""
        while True:
            layout = await self.serving(above, members=members)
            whole = all(len(team.members) == members and not team.joining for team in layout.teams)
            if whole and tuple(team.begin for team in layout.teams) == (b"", *splits):
                return layout
            above = layout.epoch

    async def story(self) -> str:
        """What the directors say they did."""
        view = await self.view()
        lines = [f"epoch {line.epoch}: {line.what} ({line.reason})" for line in view.story.lines]
        return "\n".join([*lines, f"status: {view.status}"])

    def node(self, id: str) -> RealNode:
        return next(node for node in self.nodes.values() if node.id == id)

    async def leader(self) -> RealNode:
        """Who leads now."""
        leader = (await self.view()).leader
        assert leader is not None
        return self.node(leader.node)

    async def info(self, worker: Placement) -> WorkerInfo:
        """As its own node tells."""
        async with RemoteForeman.connect(self.node(worker.node).data) as foreman:
            return await foreman.info(worker.id)

    async def workers(self) -> list[Placement]:
        """Every worker that a node has, whether the layout names it or not."""
        found: list[Placement] = []
        for node in self.nodes.values():
            async with RemoteForeman.connect(node.data) as foreman:
                found += [Placement(worker.id, node.id) for worker in await foreman.all()]
        return found

    async def endpoint(self, worker: Placement) -> str:
        info = await self.info(worker)
        endpoint = info.local_endpoint or info.endpoint
        assert endpoint is not None
        return endpoint

    async def push_to(self, count: int) -> None:
        """Push the transactions that are not there yet, as versions 1, 2, … ``count``, to whatever layout there is by then."""
        async with asyncio.timeout(HEALED_WITHIN_S):
            while True:
                layout = await self.serving()
                try:
                    await self._push(layout, count)
                except ForemanError:  # a recovery began: its layout's logs know which of them it kept
                    continue
                return

    async def _push(self, layout: Layout, count: int) -> None:
        async with LogSet.connect([await self.endpoint(log) for log in layout.logs], timeout=1.0) as logs:
            version = await logs.last_version()
            while version < count:
                await logs.push(version + 1, version, transaction(version), epoch=layout.epoch)
                version += 1

    async def read(self, worker: Placement, version: int, team: StorageTeam = ALL_KEYS) -> dict[bytes, bytes]:
        """Everything that this worker has of the team's keys at ``version``."""
        async with StorageClient.connect(await self.endpoint(worker)) as storage:
            await wait_until_async(lambda: _reached(storage, version), timeout_s=20.0, what=f"{worker.id} reaches {version}")
            found: dict[bytes, bytes] = {}
            begin, more = team.begin, True
            while more:
                pairs, more = await storage.get_range(begin, team.end)
                found.update(pairs)
                begin = max(found, default=b"") + b"\0"
            return found

    async def durable(self, worker: Placement, version: int) -> None:
        """Wait until the worker has it on disk: the logs of the next layout begin after it, and do not go back further."""

        async def holds() -> bool:
            return bool((await storage.info("durable_version"))["durable_version"] >= version)

        async with StorageClient.connect(await self.endpoint(worker)) as storage:
            await wait_until_async(holds, timeout_s=30.0, what=f"version {version} is durable on {worker.id}")


def transaction(number: int) -> list[Mutation]:
    """Version ``number`` + 1 of every test."""
    return [Set(b"key %d" % number, b"value %d" % number)]


def expected(count: int, team: StorageTeam = ALL_KEYS) -> dict[bytes, bytes]:
    """What there is of the team's keys after ``count`` transactions."""
    keys, pairs = KeyRange(team.begin, team.end), {b"key %d" % number: b"value %d" % number for number in range(count)}
    return {key: value for key, value in pairs.items() if keys.contains(key)}


async def _reached(storage: StorageClient, version: int) -> bool:
    return bool((await storage.info("latest_version"))["latest_version"] >= version)


@asynccontextmanager
async def real_cluster(
    folder: Path,
    names: tuple[str, ...] = ("a", "b", "c"),
    *,
    tls: bool = False,
    directory: str | None = None,
    machines: Mapping[str, Machine] | None = None,
    program: tuple[str, ...] = PROGRAM,
    lease_s: float = LEASE_S,
) -> AsyncIterator[RealCluster]:
    """``tls``: nodes and workers reach one another over TCP, each showing a certificate of one authority.

    ``directory``: its URL; one SQLite file when not given. ``machines``: where each node runs; all of them here when not given.
    """
    url = directory or f"sqlite:{folder / 'directory.db'}"
    at = machines or dict.fromkeys(names, Machine())
    if tls:
        _make_certificates(folder, at)
    nodes: dict[str, RealNode] = {}
    for name in names:
        config = folder / f"{name}.toml"
        config.write_text(
            f'[node]\ndata = "{folder / name}"\ncluster = "{CLUSTER}"\nname = "{name}"\nfault_domain = "{name}"\n'
            f"{_listening(folder, name, at[name].host) if tls else ''}"
            f'[directory]\nurl = "{url}"\nlease = "{lease_s}s"\n'
        )
        nodes[name] = RealNode(name, folder / name, config, (folder / f"{name}.log").open("ab"), machine=at[name], program=program)
    try:
        await asyncio.gather(*(node.up() for node in nodes.values()))
        yield RealCluster(nodes, url)
    finally:
        await asyncio.gather(*(node.down() for node in nodes.values()))
        for node in nodes.values():
            node.output.close()


def _make_certificates(folder: Path, machines: Mapping[str, Machine]) -> None:
    """What `foreman cert` makes for these nodes and a client, without a process for each; and the password of their workers."""
    now, there = datetime.now(UTC), folder / "certificates"
    made = new_authority("test authority", now=now, days=2)
    authority = Authority.read(made.certificate, made.key)
    issued = {name: authority.issue(name, Use.NODE, [machine.host], now=now, days=1) for name, machine in machines.items()}
    there.mkdir(mode=0o700)
    (folder / PASSWORD_FILE).write_text("open sesame\n")
    (there / "ca.pem").write_bytes(made.certificate)
    for name, each in {**issued, "client": authority.issue("client", Use.CLIENT, [], now=now, days=1)}.items():
        (there / f"{name}.pem").write_bytes(each.certificate)
        (there / f"{name}.key").write_bytes(each.key)


def shown_by(folder: Path, name: str) -> dict[str, Any]:
    """The certificate of a node or of the client, and the password, as params of a worker or of a client of workers."""
    there = folder / "certificates"
    tls = {"certificate": f"{there / name}.pem", "key": f"{there / name}.key", "client_ca": f"{there / 'ca.pem'}"}
    return {"tls": tls, "auth_file": f"{folder / PASSWORD_FILE}"}


def _listening(folder: Path, name: str, host: str) -> str:
    tls = shown_by(folder, name)["tls"]
    return (
        f'listen = ["{host}:0"]\ntls = {{ cert = "{tls["certificate"]}", key = "{tls["key"]}", client_ca = "{tls["client_ca"]}" }}\n'
        f'[data_plane]\nlisten = "{host}"\nauth_file = "{folder / PASSWORD_FILE}"\n'
    )
