"""A real node behind TLS, and others that talk to it: all that a Foreman does works from afar, and only for whom it should.

The certificates are those of ``foreman cert``. What is refused is refused before a request is read.
"""

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from foreman import Foreman, Health
from foreman.api.app import create_app
from foreman.api.listeners import Listener, open_listeners
from foreman.api.serving import serving
from foreman.cli.certificates import Authority, Use, new_authority
from foreman.core.interface import ForemanInterface
from foreman.core.views import WorkerChanged, WorkerRemoved
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from foreman.directory.port import Directory
from foreman.directory.records import NodeRecord, decode
from foreman.errors import ForemanUnavailable, InvalidWorkerId, NotAuthorized, UnknownKind, WorkerExists, WorkerNotFound
from foreman.node.configuration import load
from foreman.node.configuration.sections import Tls
from foreman.testing.fake_foreman import FakeForeman
from tests.deadline import wait_until, wait_until_async

WITHIN_S: Final = 30.0
TOKEN: Final = "a-token-of-good-length"
NOW: Final = datetime.now(UTC)
TALKER: Final = """
import os, signal, time
print("first", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
print("second", flush=True)
signal.pause()
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates by name: of our authority and of a foreign one, in time and out of it, for this address and for another."""
    folder = tmp_path_factory.mktemp("papers")
    long_ago = NOW - timedelta(days=9)
    for ca, prefix in (("ca", ""), ("foreign_ca", "foreign_")):
        made = new_authority(ca, now=long_ago, days=30)
        authority = Authority.read(made.certificate, made.key)
        issued = {
            ca: made,
            f"{prefix}node": authority.issue("node", Use.NODE, ["127.0.0.1"], now=NOW, days=1),
            f"{prefix}client": authority.issue("client", Use.CLIENT, [], now=NOW, days=1),
            f"{prefix}old_node": authority.issue("node", Use.NODE, ["127.0.0.1"], now=long_ago, days=8),
            f"{prefix}old_client": authority.issue("client", Use.CLIENT, [], now=long_ago, days=8),
            f"{prefix}early_client": authority.issue("client", Use.CLIENT, [], now=NOW + timedelta(days=1), days=1),
            f"{prefix}elsewhere": authority.issue("node", Use.NODE, ["10.9.8.7", "node.example"], now=NOW, days=1),
        }
        for name, pair in issued.items():
            (folder / f"{name}.pem").write_bytes(pair.certificate)
            (folder / f"{name}.key").write_bytes(pair.key)
    return folder


def _context(papers: Path, name: str | None, ca: str = "ca") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=papers / f"{ca}.pem")
    if name is not None:
        context.load_cert_chain(papers / f"{name}.pem", papers / f"{name}.key")
    return context


def _tls(papers: Path, name: str = "node", *, client_ca: bool = True) -> str:
    demanded = f', client_ca = "{papers}/ca.pem"' if client_ca else ""
    return f'tls = {{ cert = "{papers}/{name}.pem", key = "{papers}/{name}.key"{demanded} }}\n'


# --- nodes as processes ---


@dataclass(frozen=True)
class RunningNode:
    data: Path
    address: str


@contextmanager
def running(folder: Path, name: str, settings: str) -> Iterator[RunningNode]:
    """`foreman up` as a process of its own, listening on a port that the kernel chose."""
    data, config, said = folder / name, folder / f"{name}.toml", folder / f"{name}.out"
    config.write_text(settings)
    plain = {key: value for key, value in os.environ.items() if not key.startswith("FOREMAN_")}
    command = [sys.executable, "-m", "foreman", "up", "--data", str(data), "--config", str(config), "--listen", "127.0.0.1:0"]
    with said.open("wb") as out, (folder / f"{name}.err").open("wb") as err:
        process = subprocess.Popen(command, env=plain, stdout=out, stderr=err)
    try:
        found = wait_until(
            lambda: process.poll() is not None or re.search(r"listening on (https?:\S+)", said.read_text()), timeout_s=WITHIN_S
        )
        assert isinstance(found, re.Match), (folder / f"{name}.err").read_text()
        yield RunningNode(data, found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0, (folder / f"{name}.err").read_text()


@pytest.fixture(scope="module")
def node(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running(tmp_path_factory.mktemp("node"), "data", f'[node]\ncluster = "demo"\n{_tls(papers)}') as node:
        yield node


async def _reached(address: str, tls: ssl.SSLContext | None, token: str | None = None) -> str:
    async with Foreman.connect(address, tls=tls, token=token) as foreman:
        return (await foreman.node()).cluster


# --- all that a Foreman does ---


async def test_every_operation_works_from_afar(papers: Path, node: RunningNode) -> None:
    assert node.address.startswith("https://127.0.0.1:")
    async with Foreman.connect(node.address, tls=_context(papers, "client")) as there, Foreman.connect(node.data) as here:
        ref = await there.new_worker("log_1", "log")
        assert ref.name == "demo_log_1"
        assert ref == await there.new_worker("log_1", "log"), "the same worker again"
        assert [made.id for made in await there.new_workers([("log_2", "log"), ("storage_1", "storage", {})])] == ["log_2", "storage_1"]
        await there.wait_for_healthy(timeout=WITHIN_S)
        await _same_answers(here, there)
        await there.report_health("log_2", Health.error("disk on fire"))
        assert await there.health() == await here.health() != Health.ok()
        before = (await there.info("log_2")).pid
        await there.restart_worker("log_2")
        assert (await there.info("log_2")).pid != before
        await there.stop_worker("log_2")
        assert (await here.info("log_2")).state == "stopped"
        await there.start_worker("log_2")
        await _same_errors(there)
        assert await there.remove_workers(["log_2", "storage_1", "gone"]) == {
            "log_2": None, "storage_1": None, "gone": WorkerNotFound("gone"),
        }  # fmt: skip
        await there.remove_worker("log_1")
        assert await here.all() == []


async def _same_answers(here: ForemanInterface, there: ForemanInterface) -> None:
    assert await there.all() == await here.all()
    assert await there.log_workers() == await here.log_workers() == await there.workers(kind="log")
    assert await there.storage_workers() == await here.storage_workers()
    assert await there.infos() == await here.infos()
    assert await there.info("log_1") == await here.info("log_1")
    assert await there.why("log_1") == await here.why("log_1")
    assert await there.get_all_running_services() == await here.get_all_running_services()
    assert await there.health() == await here.health() == Health.ok()
    assert (await there.node()).node_id == (await here.node()).node_id


async def _same_errors(there: ForemanInterface) -> None:
    with pytest.raises(WorkerExists):
        await there.new_worker("log_1", "storage")
    with pytest.raises(UnknownKind):
        await there.new_worker("x", "nonsense")
    with pytest.raises(InvalidWorkerId):
        await there.info("../x")
    with pytest.raises(WorkerNotFound):
        await there.why("x")


async def test_events_are_followed_over_tls(papers: Path, node: RunningNode) -> None:
    async with Foreman.connect(node.address, tls=_context(papers, "client")) as foreman:
        events = foreman.events()
        await foreman.new_worker("log_9", "log")
        await foreman.remove_worker("log_9")
        async with asyncio.timeout(WITHIN_S), aclosing(events):  # type: ignore[type-var]  # it is a generator
            seen = []
            async for event in events:
                seen.append(event)
                if isinstance(event, WorkerRemoved) and event.id == "log_9":
                    break
        assert [event.state for event in seen if isinstance(event, WorkerChanged)][-1] == "removing"
        assert any(isinstance(event, WorkerChanged) and event.health == Health.ok() for event in seen)


async def test_output_is_followed_as_it_comes(papers: Path, tmp_path: Path) -> None:
    (tmp_path / "talker.py").write_text(TALKER)
    kind = f'[kinds.talker]\ncommand = ["{sys.executable}", "{tmp_path}/talker.py"]\nready = "started"\n'
    with running(tmp_path, "data", f"[node]\n{_tls(papers)}{kind}") as node:
        async with Foreman.connect(node.address, tls=_context(papers, "client")) as foreman, asyncio.timeout(WITHIN_S):
            await foreman.new_worker("talker", "talker")
            output = foreman.output("talker", follow=True)
            said = b""
            async for chunk in output:
                said += chunk
                if said == b"first\n":
                    (Path((await foreman.info("talker")).directory) / "data" / "go").touch()
                if said == b"first\nsecond\n":
                    break
            await output.aclose()  # type: ignore[attr-defined]


async def test_the_command_line_from_afar(papers: Path, node: RunningNode) -> None:
    def run(*arguments: str, client: str = "client") -> subprocess.CompletedProcess[str]:
        where = (
            "--address",
            node.address,
            "--ca",
            f"{papers}/ca.pem",
            "--cert",
            f"{papers}/{client}.pem",
            "--key",
            f"{papers}/{client}.key",
        )
        command = [sys.executable, "-m", "foreman", *where, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    assert run("new", "cli_1", "--kind", "log").returncode == 0
    assert "cli_1" in run("ls").stdout
    assert run("rm", "cli_1").returncode == 0
    refused = run("ls", client="foreign_client")
    assert (refused.returncode, refused.stderr.count("\n")) == (69, 1)


# --- who is refused ---


@pytest.mark.parametrize("name", [None, "foreign_client", "old_client", "early_client", "foreign_node"])
async def test_who_has_no_valid_certificate_is_refused(papers: Path, node: RunningNode, name: str | None) -> None:
    with pytest.raises(ForemanUnavailable, match="client certificate"):
        await _reached(node.address, _context(papers, name))


async def test_a_node_is_a_client_of_nodes(papers: Path, node: RunningNode) -> None:
    tls = Tls(papers / "elsewhere.pem", papers / "elsewhere.key", papers / "ca.pem")
    assert await _reached(node.address, tls.client_context()) == "demo"


async def test_nobody_comes_in_without_tls(papers: Path, node: RunningNode) -> None:
    with pytest.raises(ForemanUnavailable):
        await _reached(node.address.replace("https://", "http://"), None)


async def test_a_client_refuses_a_name_that_is_not_the_nodes(papers: Path, node: RunningNode) -> None:
    with pytest.raises(ForemanUnavailable, match=r"(?i)verif"):
        await _reached(node.address.replace("127.0.0.1", "localhost"), _context(papers, "client"))


async def test_a_client_refuses_another_authority(papers: Path, node: RunningNode) -> None:
    with pytest.raises(ForemanUnavailable, match=r"(?i)verif"):
        await _reached(node.address, _context(papers, "client", ca="foreign_ca"))


@asynccontextmanager
async def _served(papers: Path, name: str, folder: Path) -> AsyncIterator[Sequence[Listener]]:
    (folder / "foreman.toml").write_text(f'[node]\nlisten = ["127.0.0.1:0"]\n{_tls(papers, name)}')
    listeners = open_listeners(load(folder=folder).node, folder / "s")
    async with serving(create_app(FakeForeman()), listeners):
        yield listeners


@pytest.mark.parametrize("name", ["old_node", "elsewhere", "client"])
async def test_a_client_refuses_a_node_whose_certificate_is_not_good_for_it(papers: Path, tmp_path: Path, name: str) -> None:
    async with _served(papers, name, tmp_path) as listeners:
        with pytest.raises(ForemanUnavailable, match=r"(?i)verif"):
            await _reached(listeners[1].address, _context(papers, "client"))


async def test_a_token_over_tls_needs_no_certificate(papers: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    settings = f'[node]\ncluster = "demo"\ntoken_file = "{tmp_path}/token"\n{_tls(papers, client_ca=False)}'
    with running(tmp_path, "data", settings) as node:
        assert await _reached(node.address, _context(papers, None), TOKEN) == "demo"
        for wrong, status in ((None, 401), (TOKEN + "x", 403)):
            with pytest.raises(NotAuthorized) as refused:
                await _reached(node.address, _context(papers, None), wrong)
            assert refused.value.status == status


# --- nodes that find one another ---


async def _records(directory: Directory) -> dict[str, NodeRecord]:
    nodes = (await directory.read(ClusterKeys("demo").nodes)).entries
    return {record.id: record for record in (decode(NodeRecord, item.key, item.value) for item in nodes)}


async def test_a_node_finds_another_in_the_directory_and_works_through_it(papers: Path, tmp_path: Path) -> None:
    shared = f'[directory]\nurl = "sqlite:{tmp_path}/directory"\n'
    settings = f'[node]\ncluster = "demo"\n{_tls(papers)}{shared}'
    with running(tmp_path, "a", settings) as a, running(tmp_path, "b", settings) as b:
        directory = open_directory(f"sqlite:{tmp_path}/directory")
        found = await wait_until_async(lambda: _two(directory))
        assert {record.address for record in found.values()} == {a.address, b.address}
        async with Foreman.connect(a.data) as itself:
            other = found[(await itself.node()).node_id]
        as_b = load(file=tmp_path / "b.toml").node.tls
        assert as_b is not None
        async with Foreman.connect(other.address, tls=as_b.client_context()) as from_b:
            await from_b.new_worker("log_1", "log")
        async with Foreman.connect(a.data) as itself:
            assert [ref.id for ref in await itself.all()] == ["log_1"]
        await directory.close()


async def _two(directory: Directory) -> dict[str, NodeRecord]:
    found = await _records(directory)
    return found if len(found) == 2 else {}
