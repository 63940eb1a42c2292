"""What ``foreman demo --cluster`` does: three nodes and a directory, a wish, files pushed while machines are lost, every byte compared.

The pushes are a ClusterClient's, as any program's would be: it follows the layout by itself. Nothing here helps the cluster to recover.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from foreman.api.client import RemoteForeman
from foreman.api.cluster_layouts import DirectoryLayouts
from foreman.cli.demo.machines import CLUSTER, LEASE_S, Machines, has_etcd, machines
from foreman.cli.demo.misfortunes import REPLICAS, Misfortunes
from foreman.cli.demo.pushing import Pushing
from foreman.cli.demo.telling import Told, progress_on
from foreman.cli.demo.tree import TRANSACTION_BYTES, Expected, transactions
from foreman.cli.demo.verifying import Verdict, verify
from foreman.control.cluster_view import ClusterFold, ClusterView
from foreman.control.desk.words import told_of
from foreman.control.feed import Feed
from foreman.control.naming import shown_nodes
from foreman.core.mutations import Set, Version
from foreman.directory.following import Backoff, follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Put
from foreman.directory.records import ClusterSpec, ClusterStoryLine, StorageTeam, encode
from foreman.workers.clients import ClusterClient
from foreman.workers.clients.cluster_layout import Team
from foreman.workers.clients.replica import Where
from foreman.workers.wire.tls import client_context

LOGS: Final = 3
TRANSACTIONS: Final = 800
"""About so many in one round, where the files are large enough."""

SMALLEST_BYTES: Final = 4_000
NO_ETCD: Final = (
    "etcd is not installed (Debian: apt install etcd-server); the directory is a SQLite file on this machine instead, and nobody stops it"
)
_HEADINGS: Final = ("WHAT HAPPENED", "TOOK", "NO PUSH FOR", "OUTCOME")
_WIDTH: Final = 132


class Story:
    """What the directors say they do, line by line as it comes, and the newest view of the cluster."""

    def __init__(self, machines: Machines, console: Console) -> None:
        self.feed = Feed()
        self._machines, self._console, self._began = machines, console, time.monotonic()
        self._said: set[ClusterStoryLine] = set()

    async def follow(self) -> None:
        keys = ClusterKeys(CLUSTER)
        fold = ClusterFold(keys)
        async with aclosing(follow(self._machines.directory, keys.everything, backoff=Backoff(0.05, 0.5))) as news:
            async for told in news:
                self.feed.put(fold.see(told))
                self._tell(self.feed.view)

    def say(self, what: str) -> None:
        self._print(what, "bold")

    def _tell(self, view: ClusterView) -> None:
        new = [line for line in view.story.lines if line not in self._said]
        self._said.update(new)
        for line in told_of(new, view):
            self._print(f"  epoch {line.epoch}: {line.what} ({line.reason})", "dim")

    def _print(self, text: str, style: str) -> None:
        """One line each: cut on a terminal, whole elsewhere."""
        line = Text(f"{time.monotonic() - self._began:6.2f} s {text}", style)
        self._console.print(line, overflow="ellipsis" if self._console.is_terminal else "ignore", no_wrap=True, crop=False)


async def tell(source: Path, files: list[Path], folder: Path, *, expected: Expected, in_peace: bool = False) -> bool:
    """The whole story; whether every byte came back from every member of the storage teams. ``in_peace``: nothing is killed."""
    console, told = Console(stderr=True), Told(_HEADINGS, _WIDTH)
    with progress_on(console) as progress:
        size_bytes = sum(path.stat().st_size for path in files)
        console.print(f"{len(files):,} files, {size_bytes / 1e6:,.1f} MB, under {source}", highlight=False)
        if not has_etcd():
            console.print(NO_ETCD, highlight=False)
        about_bytes = max(SMALLEST_BYTES, min(TRANSACTION_BYTES, size_bytes // TRANSACTIONS))
        batches = await asyncio.to_thread(lambda: list(transactions(source, files, expected, about_bytes)))
        began = time.monotonic()
        async with machines(folder) as started, followed(started, console) as story, client_of(started) as client:
            directory = "etcd" if started.etcd is not None else "SQLite"
            told.add(f"{directory} and three nodes with mutual TLS, a lease of {LEASE_S:g} s", began, ", ".join(started.nodes))
            pushing = Pushing(client, batches, expected, progress)
            misfortunes = Misfortunes(started, client, story.feed, pushing, told, story.say)
            await _wish(started, misfortunes, told, _middle(batches))
            await _push(pushing, misfortunes, told, in_peace=in_peace)
            layout = await misfortunes.whole()
            wheres = (await client.layout(after=layout.epoch - 1)).teams
            reading = _Reading(started, expected, told, progress, client.acknowledged, shown_nodes(story.feed.view))
            verdicts = await reading.verdicts(layout.teams, wheres)
            story.say("every key is read; the nodes are stopped")
    told.print(verdicts, expected)
    return all(verdict.identical for verdict in verdicts)


@asynccontextmanager
async def followed(started: Machines, console: Console) -> AsyncIterator[Story]:
    """The story of these machines, told while the block runs."""
    story = Story(started, console)
    following = asyncio.create_task(story.follow())
    try:
        yield story
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def client_of(started: Machines) -> ClusterClient:
    """A client as any program's, with a certificate of its own."""
    tls = client_context(started.security["tls"])
    layouts = DirectoryLayouts(started.directory, CLUSTER, lambda address: RemoteForeman.connect(address, tls=tls))
    return ClusterClient(layouts, security=started.security)


def _middle(batches: list[list[Set]]) -> bytes:
    """A key that cuts the files into two halves."""
    keys = sorted(mutation.key for batch in batches for mutation in batch)
    return keys[len(keys) // 2]


async def _wish(started: Machines, misfortunes: Misfortunes, told: Told, middle: bytes) -> None:
    began = time.monotonic()
    spec = ClusterSpec(LOGS, REPLICAS, (middle,))
    await started.directory.transact([], [Put(ClusterKeys(CLUSTER).spec, encode(spec))])
    layout = await misfortunes.whole()
    what = f"wished for: {LOGS} logs, and {len(layout.teams)} storage teams of {REPLICAS}"
    told.add(what, began, f"layout {layout.epoch}: {len({log.node for log in layout.logs})} machines have a log each")


async def _push(pushing: Pushing, misfortunes: Misfortunes, told: Told, *, in_peace: bool) -> None:
    began = time.monotonic()
    running = asyncio.create_task(pushing.run())
    try:
        if not in_peace:
            await misfortunes.run()
        pushing.hurry()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    count = len(pushing.versions)
    once = "each once, without a gap" if sorted(pushing.versions) == list(range(1, count + 1)) else "NOT EACH ONCE"
    told.add(
        f"{count:,} transactions acknowledged by {LOGS} logs",
        began,
        f"{pushing.size_bytes / 1e6:,.1f} MB, {once}",
        pushing.longest_wait_s(began),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """All members of all teams, compared with the files at version ``last``."""

    started: Machines
    expected: Expected
    told: Told
    progress: Progress
    last: Version
    shown: Mapping[str, str]

    async def verdicts(self, teams: Sequence[StorageTeam], wheres: Sequence[Team]) -> list[Verdict]:
        """``wheres``: the same teams, as the client knows them."""
        found: list[Verdict] = []
        for number, (team, where) in enumerate(zip(teams, wheres, strict=True), 1):
            for member, at in zip(team.members, where.members, strict=True):
                name = f"team {number} on {self.shown.get(member.node, member.node)}"
                found.append(await self._verify(name, where, at))
        return found

    async def _verify(self, name: str, team: Team, where: Where) -> Verdict:
        began = time.monotonic()
        mine = {key: digest for key, digest in self.expected.digests.items() if team.holds(key)}
        security = self.started.security
        verdict = await verify(name, where, self.last, mine, self.progress, begin=team.begin, end=team.end, security=security)
        self.told.add(f"read back from {name}", began, f"{verdict.keys:,} keys, {verdict.sentence}")
        return verdict
