"""``foreman``: the command line. Owns the edge of the process: exit codes, one line for what went wrong, never a traceback.

Exit: 0 done · 1 the operation failed · 2 usage · 69 the node cannot be reached · 75 timed out · 130 interrupted.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final, NoReturn

import typer

from foreman.cli import completing, target, watching, workers
from foreman.cli.light import lighten
from foreman.cli.shown import one_line
from foreman.core.errors import ForemanError

HELP: Final = """Keeps stateful services alive: creates, watches and removes the workers of one node.

Start a node with `foreman up` in one terminal; in another:

foreman new log_1 --kind log  ·  foreman ls  ·  foreman why log_1  ·  foreman rm log_1

A node is found by --data or --address (before or after the command), by FOREMAN_ADDRESS or FOREMAN_DATA, or in ./foreman-data."""
COMMANDS: Final = ("node", "workers", "watching", "top", "configuration", "cert", "cluster", "about", "demo")
"""The modules of commands, each with ``add_to(app)``, in the order of the help."""
MOST_USED: Final = (workers, watching)
"""For a command of these nothing else is imported, which is a tenth of the time of `foreman ls`."""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The whole command line; or what ``arguments`` need of it."""
    app = typer.Typer(
        name="foreman", help=HELP, no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
    )
    app.callback()(_options)
    for module in MOST_USED:
        module.add_to(app)
    if _command_of(arguments) in {
        typer.main.get_command_name(command.callback.__name__) for command in app.registered_commands if command.callback
    }:
        return app
    app.registered_commands.clear()
    for name in COMMANDS:
        importlib.import_module(f"foreman.cli.{name}").add_to(app)
    return app


def _command_of(arguments: Sequence[str]) -> str:
    """The first word that is neither an option nor an option's value; "" when an option is none that comes before a command."""
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            return word
        name, _, value = word.partition("=")
        if name.removeprefix("--").replace("-", "_") not in target.OPTIONS:
            return ""
        if not value:
            next(words, "")
    return ""


def _print_version(asked: bool) -> None:  # noqa: FBT001 (Typer calls it with the flag)
    if asked:
        from foreman.cli import about

        about.version()
        raise typer.Exit


def _options(
    *,
    data: target.Data = None,
    address: target.At = None,
    token_file: target.TokenFile = None,
    ca: target.Authority = None,
    cert: target.Certificate = None,
    key: target.PrivateKey = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)] = False,  # noqa: ARG001 (its callback does it all)
) -> None:
    if data and address:
        raise typer.BadParameter("give --data or --address, not both")
    target.remember(target.Target(data, address, token_file, ca, cert, key))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit the process."""
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout.fileno())
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        completing.prepare()
        command = typer.main.get_command(make_app(arguments))
        lighten(command)
        result = command(arguments, prog_name="foreman", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ForemanError as error:
        return _told(str(error), workers.exit_code_of(error))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        _silence(sys.stdout.fileno())
        return 0  # whoever read our output has had enough of it
    except typer.Exit as ended:
        return ended.exit_code
    except Exception as error:  # the edge of the process: no traceback reaches a user, whatever it is
        if hasattr(error, "format_message"):  # Typer's own: wrong usage
            return _usage(error)
        return _told(f"internal error: {type(error).__name__}: {error}; please report it", 1)


def _usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")  # type: ignore[attr-defined]
        return 2
    command = context.command_path if context is not None else "foreman"
    return _told(f"{error.format_message()} (see `{command} --help`)", 2)  # type: ignore[attr-defined]


def _told(sentence: str, code: int) -> int:
    sys.stderr.write(f"foreman: {one_line(sentence)}\n")
    return code


def _silence(descriptor: int) -> None:
    """What is still in the buffer of a broken pipe goes nowhere, without a complaint at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


if __name__ == "__main__":
    main()
