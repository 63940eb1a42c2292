"""From a URL to an engine, or to a sentence that says what is wrong with it."""

import os
from pathlib import Path

import pytest

from foreman.core.errors import InvalidConfiguration
from foreman.directory.etcd.address import EtcdAddress, Tls, parse_etcd_url
from foreman.directory.opening import open_directory
from foreman.directory.sqlite.engine import SqliteDirectory


async def test_a_path_is_opened_where_it_is(tmp_path: Path) -> None:
    async with open_directory(f"sqlite:{tmp_path}/d.sqlite") as directory:
        assert isinstance(directory, SqliteDirectory)
        assert directory.url == f"sqlite:{tmp_path}/d.sqlite"
        assert os.listdir(tmp_path) == [], "no I/O before the first call"


async def test_a_relative_path_stands_below_the_base(tmp_path: Path) -> None:
    async with open_directory("sqlite:d.sqlite", tmp_path) as directory:
        assert directory.url == f"sqlite:{tmp_path}/d.sqlite"
    async with open_directory(f"sqlite:{tmp_path}/d.sqlite", Path("/elsewhere")) as directory:
        assert directory.url == f"sqlite:{tmp_path}/d.sqlite"


@pytest.mark.parametrize(
    "url", ["", "sqlite:", "sqlite::memory:", "sqlite:a\0b", "redis://x:1", "etcd", "etcd:localhost:1", "etcd:///x", "/etc/passwd"]
)
def test_what_is_no_directory_is_refused(url: str) -> None:
    with pytest.raises(InvalidConfiguration, match="url"):
        open_directory(url)


def test_an_etcd_url_is_taken_apart(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key", "password%41"):
        (tmp_path / name).write_text(f"the {name}\n")
    assert parse_etcd_url("etcd://a:1,b.example:2379,[::1]:3") == EtcdAddress(("a:1", "b.example:2379", "[::1]:3"))
    assert parse_etcd_url("etcd://me:p%40ss@a:1") == EtcdAddress(("a:1",), "me", "p@ss")
    assert parse_etcd_url(f"etcd://me@a:1?password_file={tmp_path}/password%2541") == EtcdAddress(("a:1",), "me", "the password%41")
    assert parse_etcd_url(f"etcd://a:1?ca={tmp_path}/ca&cert={tmp_path}/cert&key={tmp_path}/key") == EtcdAddress(
        ("a:1",), tls=Tls(b"the ca\n", b"the cert\n", b"the key\n")
    )


@pytest.mark.parametrize(
    "rest",
    [
        "", "a", "a:", ":1", "a:0", "a:65536", "a:x", "a:1,", "a:1,,b:2", "::1:2379", "a/b:1", "@a:1", ":secret@a:1", "a:1?colour=red",
        "a:1?ca=", "a:1?ca=/nonexistent", "a:1?cert=/x", "a:1?cert=/x&key=/y", "me@a:1?password_file=/nonexistent", "a:1?x", "a b:1",
        ",".join(["a:1"] * 33),
    ],
)  # fmt: skip
def test_what_is_no_etcd_url_is_refused_without_repeating_a_secret(rest: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        parse_etcd_url(f"etcd://{rest}")
    assert "secret" not in str(refused.value)


def test_a_password_shows_nowhere() -> None:
    address = parse_etcd_url("etcd://me:hush@a:1")
    assert address.shown == "etcd://me@a:1"
    assert "hush" not in repr(address)
