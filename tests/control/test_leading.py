"""Epochs and the directory's identity, on a real directory: given once, higher each time, and never by somebody who leads no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foreman.control.fence import boot_time_s
from foreman.control.leading import Term, campaign, resign, take_epoch
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from foreman.directory.port import Delete, Directory, Put
from foreman.directory.records import IdentityRecord, LeaderRecord, decode

KEYS = ClusterKeys("demo")


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    async with open_directory(f"sqlite:{tmp_path / 'directory.db'}") as opened:
        yield opened


async def elected(directory: Directory, node: str) -> Term:
    term = await campaign(directory, KEYS, LeaderRecord(node, "unix:/x"), 10.0, boot_time_s)
    assert term is not None
    return term


async def identity_in(directory: Directory) -> str:
    there = await directory.get(KEYS.identity)
    assert there is not None
    return decode(IdentityRecord, there.key, there.value).id


async def test_the_first_epoch_names_the_directory_and_later_ones_leave_it(directory: Directory) -> None:
    term = await elected(directory, "a")
    assert await take_epoch(directory, KEYS, term, 0, "a") == 1
    name = await identity_in(directory)
    assert term.directory == name
    assert await take_epoch(directory, KEYS, term, 7, "a") == 8
    await resign(directory, term.lease)
    second = await elected(directory, "b")
    assert await take_epoch(directory, KEYS, second, 0, "b") == 9
    assert second.directory == await identity_in(directory) == name


async def test_many_at_once_get_each_their_own(directory: Directory) -> None:
    term = await elected(directory, "a")
    epochs = await asyncio.gather(*(take_epoch(directory, KEYS, term, 0, "a") for _ in range(5)))
    assert sorted(epoch or 0 for epoch in epochs) == [1, 2, 3, 4, 5]
    assert term.directory == await identity_in(directory)


@pytest.mark.parametrize("written", [b"", b"{}", b'{"id":"../x"}'])
async def test_an_identity_that_cannot_be_read_is_given_anew(directory: Directory, written: bytes) -> None:
    await directory.transact([], [Put(KEYS.identity, written)])
    term = await elected(directory, "a")
    await take_epoch(directory, KEYS, term, 0, "a")
    assert term.directory == await identity_in(directory)


async def test_who_leads_no_more_gets_no_epoch_and_names_nothing(directory: Directory) -> None:
    term = await elected(directory, "a")
    await directory.transact([], [Delete.key(KEYS.leader)])
    assert await take_epoch(directory, KEYS, term, 0, "a") is None
    assert await directory.get(KEYS.epoch) is None
    assert await directory.get(KEYS.identity) is None
