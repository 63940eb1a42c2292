"""Real etcd members on loopback, started by a test in its own directory, to be killed, stopped and started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import grpc
from aetcd import rpc

from tests.deadline import wait_until, wait_until_async

_START_S: Final = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class EtcdServer:
    """One member. ``cluster``: name → peer URL of every member, this one too; empty: it is alone."""

    def __init__(self, folder: Path, *, name: str = "m0", peer_port: int = 0, cluster: str = "", extra: Sequence[str] = ()) -> None:
        self.folder, self.name = folder, name
        self.port, self.peer_port = free_port(), peer_port or free_port()
        self._cluster = cluster or f"{name}=http://127.0.0.1:{self.peer_port}"
        self._extra = tuple(extra)
        self._scheme = "https" if any(word.startswith("--cert-file") for word in extra) else "http"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"etcd://127.0.0.1:{self.port}"

    def start(self) -> None:
        peer, client = f"http://127.0.0.1:{self.peer_port}", f"{self._scheme}://127.0.0.1:{self.port}"
        command = [
            "etcd", "--name", self.name, "--data-dir", str(self.folder / self.name), "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--listen-client-urls", client, "--advertise-client-urls", client,
            "--initial-cluster", self._cluster, "--heartbeat-interval", "50", "--election-timeout", "500",
            "--log-level", "error", *self._extra,
        ]  # fmt: skip
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen([*command], stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}, cwd=self.folder)

    def wait_healthy(self) -> None:
        """Until the member serves and knows a leader."""
        wait_until(self._is_healthy, timeout_s=_START_S, what=f"etcd {self.name} healthy ({self.folder / self.name}.log)")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        """KILL, whatever it is doing. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Lose all data, as a new disk would."""
        assert self._process is None, "only one that does not run loses its disk"
        shutil.rmtree(self.folder / self.name)

    def save(self, copy: Path) -> None:
        """What an operator does each night."""
        self._etcdctl("--endpoints", f"http://127.0.0.1:{self.port}", "snapshot", "save", str(copy))

    def restore(self, copy: Path) -> None:
        """Its data is what it was then."""
        assert self._process is None, "only one that does not run is restored"
        peer = f"http://127.0.0.1:{self.peer_port}"
        self._etcdctl(
            "snapshot", "restore", str(copy), "--name", self.name, "--data-dir", str(self.folder / self.name),
            "--initial-cluster", self._cluster, "--initial-advertise-peer-urls", peer,
        )  # fmt: skip

    def _etcdctl(self, *arguments: str) -> None:
        environment = {"PATH": os.environ["PATH"], "ETCDCTL_API": "3"}
        subprocess.run(["etcdctl", *arguments], check=True, capture_output=True, timeout=_START_S, env=environment, cwd=self.folder)

    close = end

    def _is_healthy(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / f"{self.name}.log").read_text()
        if self._scheme == "https":
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return b'"true"' in answer.read()
        except (urllib.error.URLError, OSError):
            return False


class EtcdCluster:
    """Several members of one cluster."""

    def __init__(self, members: list[EtcdServer]) -> None:
        self.members = members

    @property
    def url(self) -> str:
        return "etcd://" + ",".join(f"127.0.0.1:{member.port}" for member in self.members)

    def start(self) -> None:
        for member in self.members:
            member.start()
        for member in self.members:
            member.wait_healthy()

    def signal(self, number: signal.Signals) -> None:
        for member in self.members:
            member.signal(number)

    def end(self) -> None:
        for member in self.members:
            member.end()

    def forget(self) -> None:
        """Lose all data, of all members: nothing can be had from one another."""
        for member in self.members:
            member.forget()

    async def leader(self) -> EtcdServer:
        """The member that leads; waits for an election."""

        async def leading() -> list[EtcdServer]:
            return [member for member in self.members if await _leads(member)]

        return (await wait_until_async(leading, timeout_s=_START_S, what="etcd has a leader"))[0]


async def _leads(server: EtcdServer) -> bool:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        try:
            status = await rpc.MaintenanceStub(channel).Status(rpc.StatusRequest(), timeout=5)
        except grpc.aio.AioRpcError:  # one that was killed
            return False
        return bool(status.leader == status.header.member_id)


@contextlib.contextmanager
def etcd_cluster(folder: Path, count: int) -> Iterator[EtcdCluster]:
    """Members that serve."""
    ports = [free_port() for _ in range(count)]
    peers = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(ports))
    cluster = EtcdCluster([EtcdServer(folder, name=f"m{n}", peer_port=port, cluster=peers) for n, port in enumerate(ports)])
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
