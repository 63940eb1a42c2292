"""TCP with client certificates: who has one of the right authority is let in, everybody else is not, and says why.

The certificates are made by openssl(1), by the same few commands as an operator would use.
"""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreman.api.app import create_app
from foreman.api.client import RemoteForeman
from foreman.api.listeners import Listener, open_listeners
from foreman.api.serving import serving
from foreman.errors import ForemanUnavailable, InvalidConfiguration
from foreman.node.configuration import load
from foreman.testing.fake_foreman import FakeForeman

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _authority(folder: Path, name: str) -> None:
    _openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
             "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip


def _signed(folder: Path, name: str, authority: str) -> None:
    _openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
             "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-days", "1",
             "-extfile", "san", "-out", f"{name}.pem")  # fmt: skip


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for authority in ("ours", "foreign"):
        _authority(folder, authority)
    for name, authority in (("node", "ours"), ("friend", "ours"), ("stranger", "foreign")):
        _signed(folder, name, authority)
    return folder


@pytest.fixture
def listeners(certificates: Path, tmp_path: Path) -> Iterator[list[Listener]]:
    tls = f'cert = "{certificates}/node.pem", key = "{certificates}/node.key", client_ca = "{certificates}/ours.pem"'
    (tmp_path / "foreman.toml").write_text(f'[node]\nlisten = ["127.0.0.1:0"]\ntls = {{ {tls} }}\n')
    opened = open_listeners(load(folder=tmp_path).node, tmp_path / "s")
    yield opened
    for listener in opened:
        listener.sock.close()


def _context(certificates: Path, name: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates / "ours.pem")
    if name is not None:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


async def test_a_friend_is_let_in(certificates: Path, listeners: list[Listener]) -> None:
    async with (
        serving(create_app(FakeForeman()), listeners),
        RemoteForeman.connect(listeners[1].address, tls=_context(certificates, "friend")) as foreman,
    ):
        assert listeners[1].address.startswith("https://127.0.0.1:")
        await foreman.new_worker("log_1", "log")
        assert len(await foreman.all()) == 1


@pytest.mark.parametrize("name", [None, "stranger"])
async def test_a_stranger_is_not(certificates: Path, listeners: list[Listener], name: str | None) -> None:
    async with serving(create_app(FakeForeman()), listeners):
        with pytest.raises(ForemanUnavailable):
            async with RemoteForeman.connect(listeners[1].address, tls=_context(certificates, name)):
                pass


async def test_a_client_does_not_trust_a_stranger_either(listeners: list[Listener]) -> None:
    async with serving(create_app(FakeForeman()), listeners):
        with pytest.raises(ForemanUnavailable, match=r"(?i)verif"):
            async with RemoteForeman.connect(listeners[1].address):
                pass


def test_certificates_that_cannot_be_read_are_a_problem(certificates: Path, tmp_path: Path) -> None:
    tls = f'cert = "{certificates}/node.pem", key = "{certificates}/friend.key", client_ca = "{certificates}/ours.pem"'
    (tmp_path / "foreman.toml").write_text(f'[node]\nlisten = ["127.0.0.1:0"]\ntls = {{ {tls} }}\n')
    with pytest.raises(InvalidConfiguration, match="tls"):
        open_listeners(load(folder=tmp_path).node, tmp_path / "s")
