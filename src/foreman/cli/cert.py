"""Commands that make certificates: cert ca, cert node, cert client. Owns their files: no key ever readable by others, or lost by accident.

A pair is NAME.pem and NAME.key. The key is written first and takes its name only if nobody has it, so two at once, or a crash between,
never leave a certificate beside a key that is not its own.
"""

import json
import os
import re
import shlex
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from foreman.core.errors import DiskFault

if TYPE_CHECKING:
    from foreman.cli.certificates import Authority, Issued, Use

CA: Final = "ca"
MODEST: Final = "for tests and small installations: whoever has this key can pass for any node; keep it off the nodes"
LARGEST_PEM_BYTES: Final = 1 << 20
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def _checked_name(name: str) -> str:
    if not _FILE_NAME.fullmatch(name) or name == CA:
        raise typer.BadParameter(
            f"{name[:80]!r}: use 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit; not 'ca'"
        )
    return name


def _checked_hosts(hosts: list[str]) -> list[str]:
    from foreman.cli.certificates import parse_host

    for host in hosts:
        try:
            parse_host(host)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return hosts


Name = Annotated[str, typer.Argument(help="What it is called, also its files.", show_default=False, callback=_checked_name)]
Folder = Annotated[str, typer.Option("--ca", help="The directory with ca.pem and ca.key.", metavar="DIR", show_default=False)]
Out = Annotated[str | None, typer.Option("--out", help="Where to write it; the authority's directory when not given.", metavar="DIR")]
Days = Annotated[int, typer.Option("--days", help="How long it is good.", min=1, max=36_500)]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    cert = typer.Typer(help="Make certificates for TLS between nodes and clients, for tests and small installations.", no_args_is_help=True)
    for command in (ca, node, client):
        cert.command(command.__name__)(command)
    app.add_typer(cert, name="cert", rich_help_panel="The node itself")


def ca(
    out: Annotated[str, typer.Option("--out", help="Where to write ca.pem and ca.key.", metavar="DIR", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="What it is called.")] = "Foreman authority",
    days: Days = 3650,
    force: Force = False,  # noqa: FBT002 (an option on the command line)
) -> None:
    """Make an authority: a key that signs certificates of nodes and clients, and the certificate they trust.

    A convenience for tests and small installations: nothing is revoked, nothing is renewed, and whoever has ca.key can pass for any node.
    Where there is an authority already, use that one. Nothing in Foreman makes certificates by itself.

    Example:  foreman cert ca --out certificates
    """
    from foreman.cli.certificates import new_authority

    made = new_authority(name, now=datetime.now(UTC), days=days)
    folder = Path(out).absolute()
    _write(folder, CA, made, force=force)
    print(f"{folder / CA}.pem and {CA}.key: an authority, good until {made.ends:%Y-%m-%d}")
    print(MODEST)


def node(
    name: Name,
    ca: Folder,
    host: Annotated[
        list[str],
        typer.Option("--host", help="An IP address or DNS name of it; may be repeated.", metavar="HOST", callback=_checked_hosts),
    ],
    out: Out = None,
    days: Days = 397,
    force: Force = False,  # noqa: FBT002
) -> None:
    """Make a node's certificate: it serves under each --host, and is the node's own when it talks to other nodes.

    Example:  foreman cert node node_1 --ca certificates --out node_1 --host 10.0.0.1 --host node-1.example
    """
    from foreman.cli.certificates import Use

    folder = _issue(name, Use.NODE, host, ca, out, days, force=force)
    print("in foreman.toml, under [node]:")
    cert, key, authority = (json.dumps(str(folder / file)) for file in (f"{name}.pem", f"{name}.key", f"{CA}.pem"))
    print(f"tls = {{ cert = {cert}, key = {key}, client_ca = {authority} }}")


def client(
    name: Name,
    ca: Folder,
    out: Out = None,
    days: Days = 397,
    force: Force = False,  # noqa: FBT002
) -> None:
    """Make a client's certificate: for people and programs that talk to nodes. It cannot serve.

    Example:  foreman cert client alice --ca certificates --out alice
    """
    from foreman.cli.certificates import Use

    folder = _issue(name, Use.CLIENT, [], ca, out, days, force=force)
    options = ["--ca", f"{folder}/{CA}.pem", "--cert", f"{folder}/{name}.pem", "--key", f"{folder}/{name}.key"]
    print(f"foreman --address https://HOST:PORT {shlex.join(options)} ls")


def _issue(name: str, use: "Use", hosts: list[str], ca: str, out: str | None, days: int, *, force: bool) -> Path:
    """Make the pair and put the authority's certificate beside it; returns the directory, absolute."""
    authority_pem, authority = _read_authority(Path(ca))
    made = authority.issue(name, use, hosts, now=datetime.now(UTC), days=days)
    folder = Path(ca if out is None else out).absolute()
    beside = folder / f"{CA}.pem"
    is_beside = os.path.lexists(beside) and _read(beside) == authority_pem
    if os.path.lexists(beside) and not is_beside and not force:
        raise _refused(f"{beside} is another authority's; nothing was made: use another --out, or --force to replace it")
    _write(folder, name, made, force=force)
    if not is_beside:
        _put(beside, authority_pem, 0o644, force=force)
    under = f", for {', '.join(hosts)}" if hosts else ""
    print(f"{folder / name}.pem and {name}.key: good until {made.ends:%Y-%m-%d}{under}")
    return folder


def _read_authority(folder: Path) -> "tuple[bytes, Authority]":
    from foreman.cli.certificates import Authority

    key = folder / f"{CA}.key"
    certificate, private = _read(folder / f"{CA}.pem"), _read(key)
    mode = key.stat().st_mode & 0o777
    if mode & 0o077:
        raise _refused(f"{key}: others can read this key (mode {mode:04o}); `chmod 600 {key}`")
    return certificate, Authority.read(certificate, private)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_PEM_BYTES)
    except OSError as error:
        first = f"; make the authority first: foreman cert ca --out {path.parent}" if isinstance(error, FileNotFoundError) else ""
        raise _refused(f"{path} cannot be read: {error.strerror}{first}") from error


def _write(folder: Path, name: str, made: "Issued", *, force: bool) -> None:
    """The pair, the key first. Nothing is touched when either is there and ``force`` is not given."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    for path in (key, certificate):
        if not force and os.path.lexists(path):
            raise _is_there(path)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(f"{folder} cannot be made: {error.strerror}") from error
    _put(key, made.key, 0o600, force=force)
    _put(certificate, made.certificate, 0o644, force=force)


def _put(path: Path, data: bytes, mode: int, *, force: bool) -> None:
    """A whole file or none, durable, and only over another one with ``force``."""
    from foreman.kernel.files import atomic_write, errno_name

    try:
        atomic_write(str(path), data, mode) if force else _put_new(path, data, mode)
    except FileExistsError as error:
        raise _is_there(path) from error
    except OSError as error:
        number = error.errno or 0
        raise DiskFault(number, errno_name(number), str(error.filename or path)) from error


def _put_new(path: Path, data: bytes, mode: int) -> None:
    from foreman.kernel.files import durable_rename, unlink_if_there, write_new

    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        write_new(str(temporary), data, mode)
        durable_rename(str(temporary), str(path))
    except OSError:
        with suppress(OSError):  # the first error says more
            unlink_if_there(str(temporary))
        raise


def _is_there(path: Path) -> Exception:
    return _refused(f"{path} is there already and stays as it is; --force replaces it")


def _refused(reason: str) -> Exception:
    from foreman.cli.certificates import CertificateRefused

    return CertificateRefused(reason)
