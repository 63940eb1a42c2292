"""Whatever the network does to the gateway's calls: when it stops, the directory is the truth, and it never was half of it."""

import asyncio
import random
import tempfile
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreman.directory.port import Changes, Directory
from foreman.directory.sqlite.engine import SqliteDirectory
from tests.directory.faulty import Fault, FaultyDirectory
from tests.node.test_gateway import KEYS, SETTLED_S, gateway_on, nodes_without_services, service, shown

ALWAYS = "always"
IDS = ("a", "b", "c")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("advertise"), st.sampled_from(IDS)),
        st.tuples(st.just("withdraw"), st.sampled_from(IDS)),
        st.tuples(st.just("blink"), st.sampled_from(IDS)),
        st.tuples(st.just("faults"), st.sampled_from(["none", "late", "some", "all"])),
        st.tuples(st.just("late"), st.just("")),
        st.tuples(st.just("lease"), st.just("")),
        st.tuples(st.just("pause"), st.just("")),
    ),
    min_size=4,
    max_size=20,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.integers(0, 2**32))
def test_when_faults_stop_the_directory_is_the_truth(story: list[tuple[str, str]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder) / "directory.sqlite", story, random.Random(seed)))


async def _play(path: Path, story: list[tuple[str, str]], chance: random.Random) -> None:
    async with AsyncExitStack() as stack:
        watching = await stack.enter_async_context(SqliteDirectory(path))
        directory = await stack.enter_async_context(FaultyDirectory(SqliteDirectory(path)))
        start = (await watching.read(KEYS.everything)).revision
        gateway = gateway_on(directory, coalesce_s=0.0005)
        truth = {ALWAYS}
        await gateway.start([service(ALWAYS)])
        await gateway.settled(SETTLED_S)
        for what, which in story:
            await _step(directory, watching, what, which, chance)
            if what in {"advertise", "blink"}:
                truth.add(which)
                gateway.advertise([service(which)])
                await gateway.settled(0.003)
            if what in {"withdraw", "blink"}:
                truth.discard(which)
                if await gateway.withdraw([which], timeout=0.002):
                    assert service(which) not in await shown(watching)
        directory.next_fault = lambda: Fault.NONE
        await asyncio.sleep(0)
        gateway.advertise([service("last")])
        assert await gateway.settled(SETTLED_S)
        await directory.deliver_late_calls()
        assert await shown(watching) == {service(id) for id in truth | {"last"}}
        await gateway.stop()
        await directory.deliver_late_calls()
        end = await watching.read(KEYS.everything)
        assert end.entries == ()
        assert not nodes_without_services(await _all_changes(watching, start, end.revision), ALWAYS)


async def _step(directory: FaultyDirectory, watching: Directory, what: str, which: str, chance: random.Random) -> None:
    if what == "faults":
        weights = {"none": [1, 0, 0, 0], "late": [1, 0, 0, 1], "some": [4, 1, 1, 1], "all": [0, 1, 1, 1]}[which]
        directory.next_fault = lambda: chance.choices(list(Fault), weights)[0]
    elif what == "late":
        await directory.deliver_late_calls()
    elif what == "lease":
        entry = await watching.get(KEYS.node("n1"))
        if entry is not None and entry.lease is not None:
            await watching.revoke_lease(entry.lease)
    elif what == "pause":
        await asyncio.sleep(0.004)


async def _all_changes(directory: Directory, after: int, until: int) -> list[Changes]:
    told: list[Changes] = []
    if after == until:
        return told
    async with asyncio.timeout(SETTLED_S), aclosing(directory.watch(KEYS.everything, after=after)) as watch:
        async for changes in watch:
            told.append(changes)
            if changes.revision == until:
                break
    return told
