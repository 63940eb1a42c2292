"""The most used commands load nothing of the others, and are found wherever the options stand."""

import subprocess
import sys

import pytest
import typer

from foreman.cli.main import COMMANDS, make_app


def names(*arguments: str) -> set[str]:
    return set(typer.main.get_command(make_app(arguments)).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["ls", "--data ls ls -h", "--data=x --address y why a", "rm cluster"])
def test_a_most_used_command_brings_only_its_like(line: str) -> None:
    assert {"ls", "why", "rm"} <= names(*line.split())
    assert not names(*line.split()) & {"cluster", "up"}


@pytest.mark.parametrize(
    "line", ["", "-h", "--help ls", "--data ls cluster status", "cluster status", "up", "lss", "--unknown ls", "--data= ls"]
)
def test_any_other_line_has_them_all(line: str) -> None:
    assert names(*line.split()) >= {"ls", "why", "rm", "cluster", "up", "version"}


def test_ls_loads_no_other_commands() -> None:
    program = "import sys, foreman.cli.main as m; m.make_app(['ls']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    assert not {f"foreman.cli.{name}" for name in COMMANDS} & set(loaded) - {"foreman.cli.workers", "foreman.cli.watching"}
