"""Commands about the program: version, completion."""

import platform
from typing import Annotated

import typer

from foreman import __version__
from foreman.cli.completing import VARIABLE
from foreman.cli.shown import AsJson, print_json

SHELLS = ("bash", "zsh", "fish")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("version", rich_help_panel="About")(version)
    app.command("completion", rich_help_panel="About")(completion)


def version(json: AsJson = False) -> None:  # noqa: FBT002 (an option on the command line)
    """Print the version."""
    if json:
        print_json({"foreman": __version__, "python": platform.python_version()})
    else:
        print(f"foreman {__version__} (Python {platform.python_version()})")


def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL", show_default=False)]) -> None:
    """Print the script that completes foreman's commands and options in your shell.

    Examples:  foreman completion bash >> ~/.bashrc  ·  foreman completion fish > ~/.config/fish/completions/foreman.fish
    """
    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is none of {', '.join(SHELLS)}", param_hint="SHELL")
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name="foreman", complete_var=VARIABLE, shell=shell))
