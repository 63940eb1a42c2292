"""Commands about the configuration: config show, config check. And how ``up`` and they read it: the file, FOREMAN_*, the flags."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreman.cli import target
from foreman.cli.shown import AsJson, print_json, print_table

if TYPE_CHECKING:
    from foreman.node.configuration import Configuration

File = Annotated[str | None, typer.Option("--config", "-c", help="The configuration file.", metavar="FILE")]
DataFlag = Annotated[str | None, typer.Option("--data", help="The node's data directory.", metavar="DIR")]
ClusterFlag = Annotated[str | None, typer.Option("--cluster", help="The cluster this node belongs to.", metavar="NAME")]
ListenFlag = Annotated[
    list[str] | None,
    typer.Option("--listen", help="An address to listen on besides the Unix socket; may be repeated.", metavar="HOST:PORT"),
]
TokenFlag = Annotated[str | None, typer.Option("--token-file", help="The token that clients of --listen must send.", metavar="FILE")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    config = typer.Typer(help="Look at the configuration.", no_args_is_help=True)
    config.command("show")(show)
    config.command("check")(check)
    app.add_typer(config, name="config", rich_help_panel="The node itself")


def read(file: str | None, data: str | None, cluster: str | None, listen: list[str] | None, token_file: str | None) -> "Configuration":
    """The configuration in force. Raises InvalidConfiguration."""
    from foreman.node.configuration import load

    flags = {
        "node.data": data or target.before_command.data,
        "node.cluster": cluster,
        "node.listen": listen or None,
        "node.token_file": token_file or target.before_command.token_file,
    }
    return load(file=None if file is None else Path(file), environment=os.environ, flags=flags)


def show(
    config: File = None,
    data: DataFlag = None,
    cluster: ClusterFlag = None,
    listen: ListenFlag = None,
    token_file: TokenFlag = None,
    json: AsJson = False,  # noqa: FBT002 (an option on the command line)
) -> None:
    """Print what is in force, and where each value came from.

    Examples:  foreman config show  ·  foreman config show --config foreman.toml --json
    """
    rows = _rows(read(config, data, cluster, listen, token_file))
    if json:
        print_json(rows)
        return
    titles = ("KEY", "VALUE", "FROM", "WHAT IT IS")
    print_table(titles, [(row["key"], _text(row["value"], row["unit"]), row["origin"], row["what"]) for row in rows])


def _rows(configuration: "Configuration") -> list[dict[str, Any]]:
    from foreman.node.configuration.keys import KEYS

    rows = [
        {
            "key": key.dotted,
            "value": _plain(configuration.value(key.dotted)),
            "unit": key.form.unit,
            "type": key.form.word,
            "origin": configuration.origin(key.dotted),
            "live": key.live,
            "what": key.sentence,
        }
        for key in KEYS
    ]
    kinds = [
        {
            "key": f"kinds.{kind.name}", "value": _command(kind.program), "unit": "", "type": "kind", "origin": str(configuration.file),
            "live": True, "what": f"A kind of worker; {kind.restart.value}.",
        }
        for kind in configuration.kinds
    ]  # fmt: skip
    return rows + kinds


def _command(program: Any) -> str:
    import shlex

    return shlex.join(program.argv)


def _plain(value: Any) -> Any:
    from foreman.node.configuration.problems import without_password

    if isinstance(value, tuple):
        return list(value)
    return without_password(value) if isinstance(value, str) else str(value) if isinstance(value, Path) else value


def _text(value: Any, unit: str) -> str:
    if value is None or value == []:
        return "-"
    text = ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".strip()


def check(
    config: File = None,
    data: DataFlag = None,
    cluster: ClusterFlag = None,
    listen: ListenFlag = None,
    token_file: TokenFlag = None,
) -> None:
    """Say whether the configuration is valid, without starting anything: exit 0, or 1 with every problem on a line of its own.

    Example:  foreman config check --config foreman.toml
    """
    from foreman.core.errors import InvalidConfiguration

    try:
        configuration = read(config, data, cluster, listen, token_file)
        problems = _kind_problems(configuration)
    except InvalidConfiguration as error:
        problems = list(error.problems)
    else:
        if not problems:
            print(f"the configuration is valid ({configuration.file or 'no file; all defaults, FOREMAN_* and flags'})")
            return
    for problem in problems:
        print(f"foreman: {problem}", file=sys.stderr)
    raise typer.Exit(1)


def _kind_problems(configuration: "Configuration") -> list[str]:
    """What only shows when all kinds are put together. Raises InvalidConfiguration."""
    from foreman.workers.kind import known_kinds

    return known_kinds(configuration.kinds)[1]
