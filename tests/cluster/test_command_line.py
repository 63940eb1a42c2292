"""`foreman cluster …` on a directory: what is wished for, what is told, and what is refused, in one line each."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from foreman.directory.port import Put
from foreman.directory.records import ClusterStoryLine, StoryRecord, encode

WITHIN_S: Final = 30


class CommandLine:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "data").mkdir()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "foreman", "cluster", *arguments, "--data", str(self._folder / "data"), "--cluster", "demo"]
        return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd=self._folder)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return answer

    def put(self, key: bytes, value: bytes) -> None:
        async def put() -> None:
            async with open_directory("sqlite:directory.db", self._folder / "data") as directory:
                await directory.transact([], [Put(key, value)])

        asyncio.run(put())


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_a_wish_is_kept_and_changed_in_part(line: CommandLine) -> None:
    assert "foreman cluster configure" in line.run("status").stdout
    made = line.run("configure", "--logs", "3", "--storage-replicas", "2", "--split", "p", "--split", "g")
    assert (made.returncode, made.stdout.split(";")[0]) == (0, "the cluster is to have 3 logs and 3 storage teams of 2, cut at g, p")
    assert line.run("configure", "--logs", "1", "--replace-after", "5").returncode == 0
    wish = line.status()["spec"]
    assert (wish["logs"], wish["storage_replicas"], wish["splits"], wish["replace_after_s"]) == (1, 2, ["Zw==", "cA=="], 5.0)
    assert line.run("configure", "--split", "").returncode == 0
    assert line.status()["spec"]["splits"] == []


def test_the_first_wish_must_be_whole(line: CommandLine) -> None:
    refused = line.run("configure", "--logs", "3")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--storage-replicas" in refused.stderr


@pytest.mark.parametrize("arguments", [("--logs", "0"), ("--logs", "many"), ("--storage-replicas", "-1"), ("--replace-after", "-1")])
def test_nonsense_is_wrong_usage(line: CommandLine, arguments: tuple[str, str]) -> None:
    assert line.run("configure", *arguments).returncode == 2


def test_too_much_is_refused_in_one_line(line: CommandLine) -> None:
    refused = line.run("configure", "--logs", "1000000", "--storage-replicas", "1")
    assert (refused.returncode, refused.stderr) == (1, refused.stderr.splitlines()[0] + "\n")
    assert "logs is out of bounds" in refused.stderr


def test_a_cluster_that_does_not_serve_is_no_success(line: CommandLine) -> None:
    line.run("configure", "--logs", "1", "--storage-replicas", "1")
    told = line.run("status")
    assert told.returncode == 1
    assert "leader  nobody" in told.stdout


def test_why_tells_the_story(line: CommandLine) -> None:
    assert "no director" in line.run("why").stdout
    line.put(ClusterKeys("demo").story, encode(StoryRecord((ClusterStoryLine(1.0, 4, "layout 4 was published", "2 logs\x1b[31m"),))))
    told = line.run("why").stdout
    assert "layout 4 was published" in told
    assert "\x1b" not in told
    assert json.loads(line.run("why", "--json").stdout)[0]["epoch"] == 4


def test_a_record_that_cannot_be_read_is_named(line: CommandLine) -> None:
    line.put(ClusterKeys("demo").layout, b"{}")
    assert "layout" in line.status()["unreadable"][0]


def test_a_place_without_a_node_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "foreman", "cluster", "status", "--data", str(tmp_path / "nowhere")]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert refused.returncode == 1
    assert "there is no node at" in refused.stderr
