"""The real machine through thousands of seeded runs of a hostile world. A failing seed prints its transcript and replays:

    python -c "from foreman.testing.simulator import simulate; simulate(SEED)"

SEEDS=100000 in the environment (``make simulate SEEDS=100000``) runs more.
"""

import os

import pytest

from foreman.testing.simulator import ROUGH, simulate

SEEDS = int(os.environ.get("SEEDS", "10000"))
CHUNKS = 20


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_promise_holds_in_every_seed(chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        simulate(seed)


def test_the_same_seed_is_the_same_run() -> None:
    assert simulate(7).transcript == simulate(7).transcript


def test_the_faults_really_happen() -> None:
    runs = [simulate(seed) for seed in range(200)]
    told = "\n".join(line for run in runs for line in run.transcript)
    for fault in (
        "the server is killed",
        "the supervisor is killed",
        "WorkerSilent",
        "TrashFailed",
        "JournalWritten {'batch'",
        "the directory goes away",
    ):
        assert fault in told, f"{fault} never happened in 200 seeds"
    assert ROUGH.server_crash > 0
