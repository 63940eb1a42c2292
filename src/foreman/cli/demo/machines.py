"""Three nodes and a directory on this machine: real processes, certificates of an authority of their own, and how each of them is lost.

Owns everything it starts and everything it writes, below one folder. Nothing of it outlives :func:`machines`.
"""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from foreman.api.client import RemoteForeman
from foreman.cli.certificates import Authority, Issued, Use, new_authority
from foreman.cli.demo.node import NodeProcess
from foreman.core.errors import ForemanError, ForemanUnavailable
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.opening import open_directory
from foreman.directory.port import Directory
from foreman.kernel.files import write_new
from foreman.kernel.processes import die_with_parent
from foreman.kernel.together import together

CLUSTER: Final = "demo"
NAMES: Final = ("north", "east", "south")
LEASE_S: Final = 2.0
ETCD_S: Final = 20.0
_DAYS: Final = 2
_NODE: Final = """\
[node]
data = "{data}"
cluster = "{cluster}"
name = "{name}"
fault_domain = "{name}"
listen = ["127.0.0.1:0"]
tls = {{ cert = "{certificates}/{name}.pem", key = "{certificates}/{name}.key", client_ca = "{certificates}/ca.pem" }}

[data_plane]
listen = "127.0.0.1"

[directory]
url = "{directory}"
lease = "{lease:g}s"

[supervision]
orphan_grace = "5s"
"""


class Machine:
    """One node. ``id``: what the cluster calls it."""

    def __init__(self, name: str, data: Path, configuration: Path) -> None:
        self.name, self.data, self.id = name, data, ""
        self._node = NodeProcess(data, ["--config", str(configuration)])
        self._left: list[int] = []

    async def start(self) -> None:
        await self._node.start()
        async with RemoteForeman.connect(self.data) as foreman:
            self.id = (await foreman.node()).node_id
        await self.remember()

    async def remember(self) -> None:
        """Which processes are lost with the machine: the supervisor, and every worker. By pidfd: a number may be another's by then."""
        with suppress(ForemanError):
            async with RemoteForeman.connect(self.data) as foreman:
                pids = {(await foreman.node()).supervisor_pid, *(info.pid for info in await foreman.infos())}
            self._forget()
            for pid in pids - {None}:
                with suppress(ProcessLookupError):
                    self._left.append(os.pidfd_open(cast("int", pid)))

    async def pull_out(self) -> None:
        """KILL the server, the supervisor and the workers that were remembered, as when the machine is gone. Its disk stays."""
        await self._node.kill()
        self._kill_what_is_left()

    def _kill_what_is_left(self) -> None:
        for process in self._left:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        self._forget()

    def _forget(self) -> None:
        left, self._left = self._left, []
        for process in left:
            os.close(process)

    async def stop(self) -> None:
        """TERM, and gone."""
        await self.remember()
        await self._node.stop()
        self._kill_what_is_left()

    async def end(self) -> None:
        """KILL, whatever it is doing; idempotent."""
        await self._node.kill()
        self._kill_what_is_left()


class Etcd:
    """One member on loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        """Returns when it answers. Raises ForemanUnavailable."""
        client, peer = f"127.0.0.1:{_free_port()}", f"http://127.0.0.1:{_free_port()}"
        self.url = f"etcd://{client}"
        command = [
            "etcd", "--name", "demo", "--data-dir", str(self._folder), "--listen-client-urls", f"http://{client}",
            "--advertise-client-urls", f"http://{client}", "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"demo={peer}", "--heartbeat-interval", "50", "--election-timeout", "500", "--log-level", "error",
        ]  # fmt: skip
        parent = os.getpid()
        with self._folder.with_suffix(".log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),
            )
        try:
            async with asyncio.timeout(ETCD_S), open_directory(self.url) as directory:
                while not await _answers(directory):  # noqa: ASYNC110 (it is another process)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ForemanUnavailable(self.url, f"etcd did not answer within {ETCD_S:g} s, see {self._folder.with_suffix('.log')}") from None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@dataclass
class Machines:
    """``etcd`` None: there is none here, and the directory is a SQLite file. ``security``: for clients of nodes and workers."""

    nodes: Mapping[str, Machine]
    directory: Directory
    etcd: Etcd | None
    security: Mapping[str, Any] = field(repr=False)

    def by_id(self, id: str) -> Machine:
        return next(machine for machine in self.nodes.values() if machine.id == id)


def has_etcd() -> bool:
    """Whether it can be started here."""
    return shutil.which("etcd") is not None


@asynccontextmanager
async def machines(folder: Path) -> AsyncIterator[Machines]:
    """Started side by side. Left in peace they are stopped; left by an error, or by Ctrl-C, they are killed."""
    certificates = folder / "certificates"
    make_certificates(certificates)
    async with AsyncExitStack() as stack:
        etcd = Etcd(folder / "etcd") if has_etcd() else None
        if etcd is not None:
            stack.push_async_callback(etcd.end)
            await etcd.start()
        url = f"sqlite:{folder / 'directory.db'}" if etcd is None else etcd.url
        nodes = {name: _machine(folder, name, url, certificates) for name in NAMES}
        for machine in nodes.values():
            stack.push_async_callback(machine.end)
        await together(machine.start() for machine in nodes.values())
        directory = await stack.enter_async_context(open_directory(url))
        own = {"certificate": str(certificates / "client.pem"), "key": str(certificates / "client.key")}
        security = {"tls": {**own, "client_ca": str(certificates / "ca.pem")}}
        yield Machines(nodes, directory, etcd, security)
        await together(machine.stop() for machine in nodes.values())


def make_certificates(folder: Path) -> None:
    """An authority, a pair for each node and one for the demo itself, as `foreman cert` would make them."""
    folder.mkdir(parents=True)
    now = datetime.now(UTC)
    made = new_authority("Foreman demo", now=now, days=_DAYS + 1)
    authority = Authority.read(made.certificate, made.key)
    _write(folder, "ca", made)
    for name in NAMES:
        _write(folder, name, authority.issue(name, Use.NODE, ["127.0.0.1"], now=now, days=_DAYS))
    _write(folder, "client", authority.issue("client", Use.CLIENT, [], now=now, days=_DAYS))


def _write(folder: Path, name: str, issued: Issued) -> None:
    write_new(str(folder / f"{name}.key"), issued.key, 0o600)
    write_new(str(folder / f"{name}.pem"), issued.certificate, 0o644)


def _machine(folder: Path, name: str, directory: str, certificates: Path) -> Machine:
    text = _NODE.format(
        data=folder / name, cluster=CLUSTER, name=name, certificates=certificates, directory=directory, lease=LEASE_S
    )  # fmt: skip
    configuration = folder / f"{name}.toml"
    configuration.write_text(text, encoding="utf-8")
    return Machine(name, folder / name, configuration)


async def _answers(directory: Directory) -> bool:
    try:
        await directory.get(b"/")
    except DirectoryUnavailable:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
