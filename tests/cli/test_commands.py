"""Each command does what its help says, for people and as JSON, and fails with the right code and one line."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from foreman.errors import FailedToRemoveDirectory, InsufficientSpace, WorkerBusy
from foreman.testing.fake_foreman import FakeForeman
from tests.cli.conftest import WITHIN_S, Run, environment


async def test_a_worker_from_new_to_rm(run: Run, data: Path) -> None:
    made = await run("new", "log_1", "--kind", "log", "--param", "size=3", "--param", "name=x", "-p", 'list=["a"]')
    assert (made.code, made.out) == (0, "log_1 is healthy, as demo_log_1\n")
    shown = json.loads((await run("show", "log_1", "--json")).out)
    assert shown["params"] == {"size": 3, "name": "x", "list": ["a"]}
    listing = (await run("ls")).out.splitlines()
    assert listing[0].split()[:4] == ["ID", "KIND", "STATE", "HEALTH"]
    assert listing[1].split()[:4] == ["log_1", "log", "running", "ok"]
    assert (await run("stop", "log_1")).code == 0
    assert (await run("start", "log_1")).code == 0
    assert (await run("restart", "log_1")).code == 0
    assert (await run("wait", "--timeout", "5")).code == 0
    assert "somebody asked to restart it" in (await run("why", "log_1")).out
    removed = await run("rm", "log_1")
    assert (removed.code, removed.out) == (0, "log_1 is removed\n")
    assert "foreman new" in (await run("ls")).out


async def test_every_listing_is_json_on_request(run: Run, data: Path, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    assert [info["id"] for info in json.loads((await run("ls", "--json", "--kind", "log")).out)] == ["log_1"]
    assert json.loads((await run("services", "--json")).out) == [["log_1", "log", "demo_log_1"]]
    assert json.loads((await run("health", "--json")).out)["workers"] == {"log_1": {"status": "ok", "reason": None}}
    assert json.loads((await run("why", "log_1", "--json")).out)[0]["reason"]
    assert json.loads((await run("rm", "log_1", "--json")).out) == {"log_1": None}
    assert json.loads((await run("config", "show", "--json")).out)[0]["key"] == "node.data"
    assert json.loads((await run("doctor", "--json")).out) is not None
    assert json.loads((await run("version", "--json")).out)["foreman"]


async def test_the_node_is_found_before_and_after_the_command_and_in_the_environment(run: Run, data: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    data.rename(moved)
    address = f"unix:{moved}/run/foreman.sock"
    for arguments in (
        ("--data", str(moved), "ls"),
        ("ls", "--data", str(moved)),
        ("ls", "--address", address),
        ("--address", address, "ls"),
    ):
        assert (await run(*arguments)).code == 0, arguments
    assert (await run("ls", FOREMAN_DATA=str(moved))).code == 0
    assert (await run("ls", FOREMAN_ADDRESS=address, FOREMAN_DATA="/nowhere")).code == 0
    assert (await run("ls", "--data", str(moved), FOREMAN_ADDRESS="unix:/nowhere")).code == 0
    assert (await run("--data", "/nowhere", "ls", "--data", str(moved))).code == 0
    (await run("ls")).failed_with(69)


async def test_failures_have_their_code_and_one_line(run: Run, data: Path, fake: FakeForeman) -> None:
    assert "foreman output bad" in (await run("new", "bad", "--kind", "broken")).failed_with(1)
    assert "it knows" in (await run("new", "x", "--kind", "nonsense")).failed_with(1)
    (await run("new", "../evil", "--kind", "log")).failed_with(1)
    (await run("show", "gone")).failed_with(1)
    (await run("output", "gone")).failed_with(1)
    assert "bad" in (await run("wait")).failed_with(1)
    health = await run("health")
    assert "bad" in health.failed_with(1)
    await fake.remove_worker("bad")
    (await run("new", "late", "--kind", "slow", "--timeout", "0.1")).failed_with(75)
    (await run("wait", "--timeout", "0.1")).failed_with(75)
    fake.fail_next("new_worker", InsufficientSpace("/d", 1, 2))
    assert "min_free" in (await run("new", "a", "-k", "log")).failed_with(1)
    fake.fail_next("stop_worker", WorkerBusy("late", "being removed"))
    (await run("stop", "late")).failed_with(1)


async def test_rm_of_many_gives_a_result_for_each(run: Run, data: Path, fake: FakeForeman) -> None:
    for id in ("a", "b"):
        await fake.new_worker(id, "log")
    fake.fail_next("remove_worker", FailedToRemoveDirectory("a", 1, "EPERM", "/d/a"))
    ended = await run("rm", "a", "gone", "b")
    assert ended.code == 1
    assert ended.out == "b is removed\n"
    assert [line.partition(":")[0] for line in ended.err.splitlines()] == ["foreman", "foreman"]
    assert "EPERM" in ended.err
    assert "no worker gone" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",), ("ls", "--nonsense"), ("new",), ("new", "a"), ("new", "a", "--kind"), ("new", "a", "-k", "log", "--timeout", "x"),
        ("new", "a", "-k", "log", "--timeout", "-1"), ("new", "a", "-k", "log", "--param", "novalue"), ("rm",), ("config", "nonsense"),
        ("ls", "--data", "a", "--address", "unix:b"), ("--data", "a", "--address", "unix:b", "ls"), ("events", "--after", "-1"),
        ("completion", "tcsh"),
    ],
)  # fmt: skip
async def test_wrong_usage_is_2_and_says_where_help_is(run: Run, arguments: tuple[str, ...]) -> None:
    assert "--help" in (await run(*arguments)).failed_with(2)


async def test_nobody_there_is_69_and_says_how_to_start(run: Run, tmp_path: Path) -> None:
    for command in (("ls",), ("new", "a", "-k", "log"), ("rm", "a"), ("events",), ("output", "a", "-f"), ("down",), ("health",)):
        assert "foreman up" in (await run(*command)).failed_with(69)
    (await run("ls", "--address", "https://127.0.0.1:1")).failed_with(69)
    (await run("ls", "--address", "https://user@host/path")).failed_with(1)


async def test_output_is_bytes_as_they_were_written(run: Run, data: Path, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    fake.outputs["log_1"] = [b"one\n", b"two\n"]
    assert (await run("output", "log_1")).out == "one\ntwo\n"


async def test_events_are_a_line_each(data: Path, fake: FakeForeman) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "foreman.cli.main", "events", "--after", "0", "--json", env=environment(FOREMAN_DATA=str(data)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    await fake.new_worker("log_1", "log")
    line = await asyncio.wait_for(process.stdout.readline(), WITHIN_S)
    told = json.loads(line)
    assert (told["event"], told["id"], told["state"]) == ("worker_changed", "log_1", "running")
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 130
    assert await process.stderr.read() == b"", "Ctrl-C is quiet"


async def test_a_reader_who_has_had_enough_is_no_error(data: Path, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    fake.outputs["log_1"] = [b"line\n" * 100_000]
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m foreman.cli.main output log_1 | head -1", env=environment(FOREMAN_DATA=str(data)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (out, err) == (b"line\n", b"")


async def test_what_a_worker_says_cannot_steer_the_terminal(run: Run, data: Path, fake: FakeForeman) -> None:
    from foreman import Health

    await fake.new_worker("log_1", "log")
    await fake.report_health("log_1", Health.error("\x1b[2J\nfake_1  log  running  ok"))
    ended = await run("ls")
    assert "\x1b" not in ended.out
    assert len(ended.out.splitlines()) == 2
    assert "\x1b" not in (await run("health")).failed_with(1)


async def test_down_ends_when_nobody_answers_any_more(run: Run, tmp_path: Path) -> None:
    from foreman.api.app import create_app
    from foreman.api.listeners import Listener, bind_unix
    from foreman.api.serving import serving

    fake = FakeForeman()
    (tmp_path / "d" / "run").mkdir(parents=True)
    async with serving(create_app(fake), [Listener(bind_unix(tmp_path / "d" / "run" / "foreman.sock"))]):
        going = asyncio.ensure_future(run("down", "--data", str(tmp_path / "d")))
        await asyncio.wait_for(fake.down.wait(), WITHIN_S)
    ended = await going
    assert (ended.code, ended.out) == (0, "the node has ended\n")


async def test_top_without_a_terminal_says_what_to_use(run: Run, data: Path) -> None:
    assert "foreman ls" in (await run("top")).failed_with(1)


async def test_the_configuration_is_shown_and_checked(run: Run, tmp_path: Path) -> None:
    assert (await run("config", "check")).code == 0
    (tmp_path / "foreman.toml").write_text("[supervision]\nwindow = 3\n[kinds.r]\ncommand = ['r']\nafter = ['log']\n")
    shown = await run("config", "show", FOREMAN_CLUSTER="other")
    assert any(line.split()[:3] == ["supervision.window", "3", "s"] and "foreman.toml:2" in line for line in shown.out.splitlines())
    assert any(line.split()[:3] == ["node.cluster", "other", "FOREMAN_CLUSTER"] for line in shown.out.splitlines())
    (tmp_path / "foreman.toml").write_text("[supervision]\nwindo = 3\nbackof = 1\n")
    checked = await run("config", "check")
    assert checked.code == 1
    assert [line.partition("; ")[2] for line in checked.err.splitlines()] == [
        "did you mean supervision.window?", "did you mean supervision.backoff?",
    ]  # fmt: skip
    (tmp_path / "foreman.toml").write_text("[kinds.r]\ncommand = ['r']\nafter = ['nothing']\n")
    assert "nothing" in (await run("config", "check")).failed_with(1)
    (tmp_path / "foreman.toml").write_text("[node]\nlisten = ['127.0.0.1:0']\n")
    (await run("up")).failed_with(1)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_prints_a_script(run: Run, shell: str) -> None:
    ended = await run("completion", shell)
    assert ended.code == 0
    assert "_FOREMAN_COMPLETE" in ended.out


async def test_commands_and_worker_ids_are_completed(run: Run, data: Path, fake: FakeForeman) -> None:
    await fake.new_worker("log_1", "log")
    asked = {"_FOREMAN_COMPLETE": "complete_bash"}
    assert (await run(COMP_WORDS="foreman re", COMP_CWORD="1", **asked)).out.split() == ["restart"]
    assert (await run(COMP_WORDS="foreman show l", COMP_CWORD="2", **asked)).out.split() == ["log_1"]
    nobody = await run(COMP_WORDS="foreman --data /nowhere show l", COMP_CWORD="4", **asked)
    assert (nobody.out.split(), nobody.err) == ([], "")


async def test_help_teaches_with_examples(run: Run) -> None:
    assert "foreman up" in (await run("--help")).out
    for command in ("new", "ls", "rm", "why", "up", "doctor"):
        assert "Example" in (await run(command, "--help")).out


async def test_listing_loads_neither_rich_nor_pydantic_nor_httpx(data: Path) -> None:
    """What makes ``foreman ls`` quick is what it does not import."""
    unwanted = "{'rich', 'pydantic', 'httpx', 'fastapi'}"
    code = f"import sys; from foreman.cli.main import _run; _run(['ls']); print(sorted({unwanted} & set(sys.modules)))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment(FOREMAN_DATA=str(data)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert out.decode().splitlines()[-1] == "[]"
