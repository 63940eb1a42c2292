"""What foreman cert makes holds for what it names and no longer, is private from its first moment, and never replaces anything unasked."""

import os
import ssl
import stat
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from foreman.cli.certificates import Authority, CertificateRefused, Issued, Use, new_authority, parse_host
from tests.cli.conftest import Run
from tests.structure.source import python_files

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_an_authority_a_node_and_a_client(run: Run, tmp_path: Path) -> None:
    made = await run("cert", "ca", "--out", "ca")
    assert made.code == 0, made
    assert "small installations" in made.out
    node = await run("cert", "node", "node_1", "--ca", "ca", "--out", "with space/node", "--host", "127.0.0.1", "--host", "Node.Example")
    assert node.code == 0, node
    settings = tomllib.loads("[node]\n" + node.out.splitlines()[-1])["node"]["tls"]
    assert settings == {
        "cert": f"{tmp_path}/with space/node/node_1.pem",
        "key": f"{tmp_path}/with space/node/node_1.key",
        "client_ca": f"{tmp_path}/with space/node/ca.pem",
    }
    ssl.create_default_context(cafile=settings["client_ca"]).load_cert_chain(settings["cert"], settings["key"])
    client = await run("cert", "client", "alice", "--ca", "ca")
    assert client.code == 0, client
    assert "--cert" in client.out
    for key in ("ca/ca.key", "ca/alice.key", "with space/node/node_1.key"):
        assert _mode(tmp_path / key) == 0o600
    assert _mode(tmp_path / "ca") == 0o700
    assert sorted(os.listdir(tmp_path / "ca")) == ["alice.key", "alice.pem", "ca.key", "ca.pem"], "nothing half-made is left"


async def test_a_key_is_private_whatever_the_umask(run: Run, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert (await run("cert", "ca", "--out", ".")).code == 0
    finally:
        os.umask(before)
    assert _mode(tmp_path / "ca.key") == 0o600
    assert _mode(tmp_path / "ca.pem") == 0o644


async def test_nothing_is_replaced_unasked(run: Run, tmp_path: Path) -> None:
    assert (await run("cert", "ca", "--out", "ca")).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "ca").iterdir()}
    assert "--force" in (await run("cert", "ca", "--out", "ca")).failed_with(1)
    (tmp_path / "ca/alice.key").symlink_to("nowhere")
    assert "alice.key is there already" in (await run("cert", "client", "alice", "--ca", "ca")).failed_with(1)
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "ca/alice.pem").exists()
    assert (await run("cert", "ca", "--out", "ca", "--force")).code == 0
    assert all(path.read_bytes() != old for path, old in before.items())
    assert (await run("cert", "client", "alice", "--ca", "ca", "--force")).code == 0
    assert not (tmp_path / "ca/alice.key").is_symlink()
    assert not (tmp_path / "ca/nowhere").exists(), "a link is replaced, not followed"


async def test_two_authorities_do_not_meet_in_one_directory(run: Run, tmp_path: Path) -> None:
    for authority in ("ours", "foreign"):
        assert (await run("cert", "ca", "--out", authority)).code == 0
    assert (await run("cert", "client", "a", "--ca", "ours", "--out", "out")).code == 0
    assert "another authority's" in (await run("cert", "client", "b", "--ca", "foreign", "--out", "out")).failed_with(1)
    assert sorted(os.listdir(tmp_path / "out")) == ["a.key", "a.pem", "ca.pem"]
    assert (await run("cert", "client", "b", "--ca", "ours", "--out", "out")).code == 0


async def test_what_is_wrong_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    assert "foreman cert ca --out ca" in (await run("cert", "client", "a", "--ca", "ca")).failed_with(1)
    assert (await run("cert", "ca", "--out", "ca", "--days", "10")).code == 0
    for name in ("../a", "", "ca", ".a", "a/b", "a" * 64, "ä"):
        (await run("cert", "client", name, "--ca", "ca")).failed_with(2)
    (await run("cert", "node", "a", "--ca", "ca")).failed_with(2)
    (await run("cert", "node", "a", "--ca", "ca", "--host", "https://a")).failed_with(2)
    (await run("cert", "ca", "--out", "x", "--days", "0")).failed_with(2)
    (await run("cert", "ca", "--out", "x", "--name", "")).failed_with(1)
    assert "fewer days" in (await run("cert", "client", "a", "--ca", "ca", "--days", "11")).failed_with(1)
    (tmp_path / "ca/ca.key").chmod(0o644)
    assert "chmod 600" in (await run("cert", "client", "a", "--ca", "ca", "--days", "9")).failed_with(1)
    (tmp_path / "ca/ca.key").chmod(0o600)
    (tmp_path / "ca/ca.key").write_bytes(b"nonsense")
    assert "key cannot be read" in (await run("cert", "client", "a", "--ca", "ca", "--days", "9")).failed_with(1)
    (tmp_path / "ca/ca.pem").write_bytes(b"nonsense")
    assert "certificate cannot be used" in (await run("cert", "client", "a", "--ca", "ca", "--days", "9")).failed_with(1)
    assert "cannot be made" in (await run("cert", "ca", "--out", "ca/ca.pem/x")).failed_with(1)
    assert not list(tmp_path.rglob("a.*"))


async def test_the_command_line_starts_without_the_library(run: Run) -> None:
    """It costs 40 ms, and only cert needs it."""
    ended = await run("-h")
    assert "cert" in ended.out
    program = "import sys, foreman.cli.main as m; m.make_app(); print([n for n in sys.modules if n.startswith('cryptography')])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"


def test_nothing_makes_certificates_by_itself() -> None:
    def that_import(module: str) -> set[str]:
        files = [(file.path, line.split()) for file in python_files("src") for line in file.lines]
        return {path for path, words in files if words[:1] in (["from"], ["import"]) and (words[1] + ".").startswith(f"{module}.")}

    assert that_import("cryptography") == {"src/foreman/cli/certificates.py"}
    demo = "src/foreman/cli/demo/machines.py"  # an authority of its own, which goes with its folder
    assert that_import("foreman.cli.certificates") == {"src/foreman/cli/cert.py", demo}


# --- what stands in them ---


def _authority(made: Issued) -> Authority:
    return Authority.read(made.certificate, made.key)


def test_a_chain_holds_for_its_hosts_and_its_time_only() -> None:
    root = new_authority("ours", now=NOW, days=100)
    node = _authority(root).issue("n", Use.NODE, ["10.0.0.1", "::1", "node.example"], now=NOW, days=10)
    leaf, store = x509.load_pem_x509_certificate(node.certificate), Store([x509.load_pem_x509_certificate(root.certificate)])
    policy = PolicyBuilder().store(store)
    within = policy.time(NOW + timedelta(days=5))
    within.build_server_verifier(x509.DNSName("node.example")).verify(leaf, [])
    within.build_client_verifier().verify(leaf, [])
    for late in (NOW - timedelta(minutes=6), NOW + timedelta(days=11)):
        with pytest.raises(VerificationError):
            policy.time(late).build_server_verifier(x509.DNSName("node.example")).verify(leaf, [])
    with pytest.raises(VerificationError):
        within.build_server_verifier(x509.DNSName("other.example")).verify(leaf, [])
    client = x509.load_pem_x509_certificate(_authority(root).issue("c", Use.CLIENT, [], now=NOW, days=10).certificate)
    assert client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value == x509.ExtendedKeyUsage(Use.CLIENT.value)
    assert client.serial_number != leaf.serial_number


def test_an_authority_signs_no_other_authority() -> None:
    made = x509.load_pem_x509_certificate(new_authority("ours", now=NOW, days=1).certificate)
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)


def test_a_node_cannot_sign() -> None:
    root = _authority(new_authority("ours", now=NOW, days=9))
    node = root.issue("n", Use.NODE, ["a"], now=NOW, days=1)
    with pytest.raises(CertificateRefused, match="no authority"):
        Authority.read(node.certificate, node.key)


def test_an_authority_of_another_make_serves_as_well() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "theirs")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(days=9))
    theirs = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, None)
    pem = theirs.public_bytes(serialization.Encoding.PEM)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    issued = Authority.read(pem, key.private_bytes(encoding, form, serialization.NoEncryption())).issue(
        "n", Use.NODE, ["a"], now=NOW, days=1
    )
    x509.load_pem_x509_certificate(issued.certificate).verify_directly_issued_by(theirs)
    locked = key.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"secret"))
    with pytest.raises(CertificateRefused, match="encrypted"):
        Authority.read(pem, locked)
    with pytest.raises(CertificateRefused, match="does not belong"):
        Authority.read(pem, new_authority("ours", now=NOW, days=1).key)


def test_a_node_without_a_host_is_refused() -> None:
    with pytest.raises(CertificateRefused, match="host"):
        _authority(new_authority("ours", now=NOW, days=9)).issue("n", Use.NODE, [], now=NOW, days=1)


@pytest.mark.parametrize(
    "host", ["", "a:1", "https://a", "*.a", "a/b", "a b", "-a", "a-", "a..b", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "ä", "a" * 64, "a\0"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"IP address|zone"):
        parse_host(host)
