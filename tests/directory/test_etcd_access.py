"""TLS with client certificates, users with passwords, tokens that are lost: against a real etcd."""

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from aetcd import rpc

from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.opening import open_directory
from foreman.directory.port import KeyRange, Put
from tests.deadline import wait_until_async
from tests.directory.conftest import needs_etcd
from tests.directory.etcd_server import EtcdServer

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="NOT TESTED: etcd over TLS. No `openssl` to make certificates with")
pytestmark = [needs_etcd, needs_openssl, pytest.mark.slow]
KEYS = KeyRange.of_prefix(b"/demo/")


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; the first has signed a server and a client."""
    folder = tmp_path_factory.mktemp("pki")
    for authority in ("ca", "other"):
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={authority}",
            "-keyout", f"{folder}/{authority}.key", "-out", f"{folder}/{authority}.pem",
        )  # fmt: skip
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{folder}/{name}.ext", "-out", f"{folder}/{name}.pem",
        )  # fmt: skip
    return folder


@pytest.fixture
def tls_server(tmp_path: Path, pki: Path) -> Iterator[EtcdServer]:
    extra = [f"--cert-file={pki}/server.pem", f"--key-file={pki}/server.key", f"--trusted-ca-file={pki}/ca.pem", "--client-cert-auth"]
    with contextlib.closing(EtcdServer(tmp_path, extra=extra)) as server:
        server.start()
        server.wait_healthy()
        yield server


@pytest.fixture
async def users_server(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """Knows `root` and `foreman` (password `p@ss:word`), who may only touch /demo/."""
    with contextlib.closing(EtcdServer(tmp_path)) as server:
        server.start()
        server.wait_healthy()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            await _make_users(rpc.AuthStub(channel))
        yield server


async def _make_users(auth: Any) -> None:
    permission = rpc.Permission(permType=rpc.Permission.READWRITE, key=b"/demo/", range_end=b"/demo0")
    steps: list[tuple[Callable[[Any], Awaitable[Any]], Any]] = [
        (auth.UserAdd, rpc.AuthUserAddRequest(name="root", password="root")),
        (auth.UserGrantRole, rpc.AuthUserGrantRoleRequest(user="root", role="root")),
        (auth.RoleAdd, rpc.AuthRoleAddRequest(name="foreman")),
        (auth.RoleGrantPermission, rpc.AuthRoleGrantPermissionRequest(name="foreman", perm=permission)),
        (auth.UserAdd, rpc.AuthUserAddRequest(name="foreman", password="p@ss:word")),
        (auth.UserGrantRole, rpc.AuthUserGrantRoleRequest(user="foreman", role="foreman")),
        (auth.AuthEnable, rpc.AuthEnableRequest()),
    ]
    for step, request in steps:
        if step == auth.UserGrantRole and request.role == "root":
            await auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
        await step(request)


async def test_with_certificates_it_serves_and_watches(tls_server: EtcdServer, pki: Path) -> None:
    url = f"etcd://127.0.0.1:{tls_server.port}?ca={pki}/ca.pem&cert={pki}/client.pem&key={pki}/client.key"
    async with open_directory(url) as directory:
        revision = (await directory.transact([], [Put(b"/demo/a", b"1")])).revision
        async with contextlib.aclosing(directory.watch(KEYS, after=revision - 1)) as watch:
            assert (await anext(watch)).revision == revision
        lease = await directory.grant_lease(5)
        assert await directory.keep_alive(lease.id) == 5


@pytest.mark.parametrize("wrong", ["ca={pki}/other.pem&cert={pki}/client.pem&key={pki}/client.key", "ca={pki}/ca.pem", ""])
async def test_with_wrong_or_no_certificates_it_is_away(tls_server: EtcdServer, pki: Path, wrong: str) -> None:
    async with open_directory(f"etcd://127.0.0.1:{tls_server.port}?{wrong.format(pki=pki)}") as directory:
        with pytest.raises(DirectoryUnavailable):
            await directory.read(KEYS)


async def test_a_user_logs_in_and_again_when_the_token_is_lost(users_server: EtcdServer, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss:word\n")
    async with open_directory(f"etcd://foreman@127.0.0.1:{users_server.port}?password_file={secret}") as directory:
        lease = await directory.grant_lease(60)
        revision = (await directory.transact([], [Put(b"/demo/a", b"1", lease.id)])).revision
        users_server.end()
        users_server.start()  # tokens of the simple kind are in memory alone

        async def is_back() -> bool:
            try:
                return (await directory.transact([], [Put(b"/demo/a", b"2", lease.id)])).succeeded
            except DirectoryUnavailable:
                return False

        await wait_until_async(is_back)
        async with contextlib.aclosing(directory.watch(KEYS, after=revision)) as watch:
            assert (await anext(watch)).revision > revision
        assert await directory.keep_alive(lease.id) > 0
        await directory.revoke_lease(lease.id)


async def test_a_password_may_stand_in_the_url_and_is_never_shown(users_server: EtcdServer) -> None:
    async with open_directory(f"etcd://foreman:p%40ss%3Aword@127.0.0.1:{users_server.port}") as directory:
        assert (await directory.read(KEYS)).entries == ()
        assert "ss" not in directory.url.removeprefix("etcd://foreman@")
        with pytest.raises(DirectoryUnavailable, match="permission denied") as refused:
            await directory.read(KeyRange.of_prefix(b"/elsewhere/"))
        assert "p%40ss" not in str(refused.value)
        assert "p@ss" not in repr(refused.value)


@pytest.mark.parametrize(
    ("user", "reason"), [("foreman:wrong@", "authentication failed"), ("nobody:x@", "authentication failed"), ("", "user")]
)
async def test_who_may_not_is_told_why(users_server: EtcdServer, user: str, reason: str) -> None:
    async with open_directory(f"etcd://{user}127.0.0.1:{users_server.port}") as directory:
        with pytest.raises(DirectoryUnavailable, match=reason):
            await directory.read(KEYS)
        with pytest.raises(DirectoryUnavailable, match=reason):
            await directory.transact([], [Put(b"/demo/a", b"1")])
