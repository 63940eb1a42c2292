"""A real log worker and whatever words or bytes: it answers or hangs up, and goes on serving everybody else."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hiredis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.core.mutations import Clear
from foreman.workers.wire import encode_transaction
from tests.workers.log.worker_process import WorkerProcess
from tests.workers.wire.framed import command

TRANSACTION = encode_transaction([Clear(b"k")])
NUMBERS = st.integers(-1, 2**64).map(lambda number: b"%d" % number) | st.sampled_from([b"0", b"1", b"2", b"*", b"", b"x"])
WORDS = (
    NUMBERS
    | st.binary(max_size=30)
    | st.sampled_from([TRANSACTION, b"LIMIT", b"LAST", b"RECOVERY", b"SUBSCRIBER", b"BLOCK", b"FROM", b"NONE", b"LOCK", b"unix:/none"])
)
NAMES = st.sampled_from([b"PUSH", b"PULL", b"LOCK", b"RECOVER", b"INFO", b"pull", b"CONFIG", b"HELLO", b"CLIENT"])
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[WorkerProcess]:
    """One worker for a whole run of generated commands."""
    with tempfile.TemporaryDirectory(prefix="fm") as folder:
        worker = WorkerProcess(Path(folder), {}).start()
        yield worker
        worker.kill()


def connected(worker: WorkerProcess) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(worker.endpoint.removeprefix("unix:"))
    return client


def answers(client: socket.socket, count: int) -> list[object]:
    reader = hiredis.Reader(notEnoughData=NotImplemented)
    found: list[object] = []
    while len(found) < count:
        if (answer := reader.gets()) is not NotImplemented:
            found.append(answer)
            continue
        received = client.recv(1 << 16)
        assert received, f"it hung up after {found}"
        reader.feed(received)
    return found


@given(st.lists(st.tuples(NAMES, st.lists(WORDS, max_size=6)), min_size=1, max_size=20))
@SETTINGS
def test_no_words_whatever_crash_it(fuzzed: WorkerProcess, commands: list[tuple[bytes, list[bytes]]]) -> None:
    asked = [(name, *words) for name, words in commands if not {b"BLOCK", b"unix:/none"}.intersection(words)]
    with connected(fuzzed) as client:
        client.sendall(b"".join(command(*words) for words in asked) + command(b"PING", b"alive"))
        parked = [words for words in asked if words[0] == b"PUSH" and len(words) == 5 and words[2].isdigit()]
        if not parked:  # one that waits for its predecessor holds back the answers behind it
            assert answers(client, len(asked) + 1)[-1] == b"alive"
    works(fuzzed)


@given(st.binary(min_size=1, max_size=300))
@SETTINGS
def test_no_bytes_whatever_crash_it(fuzzed: WorkerProcess, junk: bytes) -> None:
    with connected(fuzzed) as client:
        client.sendall(junk)
    works(fuzzed)


def works(worker: WorkerProcess) -> None:
    """It answers others, and its health is ok."""
    with connected(worker) as client:
        client.sendall(command(b"INFO", b"health", b"last_version"))
        (info,) = answers(client, 1)
        assert isinstance(info, bytes)
        assert b"health:ok" in info
