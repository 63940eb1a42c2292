"""The main job as a user types it: real files, four SIGKILLs, every byte compared; and that it would notice if one were not the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foreman.cli.demo import verifying
from foreman.cli.demo.tree import Expected, combined, find_files, transactions
from foreman.core.mutations import MAX_VALUE_BYTES


def tree(root: Path) -> Path:
    for number in range(60):
        folder = root / f"folder {number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(os.urandom(number * 997))
    (root / "empty").write_bytes(b"")
    (root / "large").write_bytes(os.urandom(3 * MAX_VALUE_BYTES))
    (root / os.fsdecode(b"not utf-8 \xff")).write_bytes(b"x")
    (root / "a link").symlink_to("/etc/passwd")
    return root


@pytest.mark.timeout(180)
def test_real_files_survive_four_kills(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "foreman", "demo", "--input", str(tree(tmp_path / "files"))],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    for killed in ("SIGKILL log_1", "SIGKILL storage_1", "SIGKILL the server", "SIGKILL the worker supervisor"):
        assert killed in told.stdout
    assert "all adopted, none restarted" in told.stdout
    assert told.stdout.count("identical") == 4
    assert not list(tmp_path.glob("foreman-demo-*")), "the demo leaves nothing behind"


@pytest.mark.parametrize("arguments", [["--input", "/nowhere"], ["--data", "/"], ["--limit", "0"]])
def test_what_cannot_be_is_said_in_a_line(arguments: list[str]) -> None:
    told = subprocess.run([sys.executable, "-m", "foreman", "demo", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr


def test_every_byte_of_the_tree_is_in_the_transactions(tmp_path: Path) -> None:
    root, expected = tree(tmp_path / "files"), Expected()
    files = find_files(root, 100_000_000)
    assert root / "a link" not in files
    pairs = {mutation.key: mutation.value for batch in transactions(root, files, expected) for mutation in batch}
    for path in files:
        name = os.fsencode(path.relative_to(root))
        assert b"".join(value for key, value in sorted(pairs.items()) if key.rpartition(b"#")[0] == name) == path.read_bytes()
    assert pairs.keys() == expected.digests.keys()


def test_one_different_byte_is_noticed() -> None:
    assert not verifying.Verdict("s", 1, 0, 1, 0, "").identical
    assert not verifying.Verdict("s", 1, 1, 0, 0, "").identical
    assert not verifying.Verdict("s", 1, 0, 0, 1, "").identical
    one, other = Expected(), Expected()
    one.note(b"k", b"v")
    other.note(b"k", b"w")
    assert one.digest() != other.digest()
    assert combined(one.digests) == one.digest()
