"""Which node a command talks to, and how: the options that every client command has, before or after its name.

The nearer wins: an option after the command, one before it, FOREMAN_ADDRESS, FOREMAN_DATA, ./foreman-data. Owns connecting and
the event loop of a command; a command itself is a coroutine over a ForemanInterface and nothing else.
"""

import asyncio
import functools
import inspect
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from foreman.core.errors import InvalidConfiguration
from foreman.core.interface import ForemanInterface

DEFAULT_DATA: Final = "foreman-data"
_PANEL: Final = "The node"

Data = Annotated[str | None, typer.Option("--data", help="The node's data directory.", rich_help_panel=_PANEL, metavar="DIR")]
At = Annotated[
    str | None, typer.Option("--address", help="Its address: unix:PATH or https://HOST:PORT.", rich_help_panel=_PANEL, metavar="ADDRESS")
]
TokenFile = Annotated[str | None, typer.Option("--token-file", help="A file with its token.", rich_help_panel=_PANEL, metavar="FILE")]
Authority = Annotated[str | None, typer.Option("--ca", help="Whose certificates to trust.", rich_help_panel=_PANEL, metavar="FILE")]
Certificate = Annotated[str | None, typer.Option("--cert", help="This client's certificate.", rich_help_panel=_PANEL, metavar="FILE")]
PrivateKey = Annotated[str | None, typer.Option("--key", help="The key of that certificate.", rich_help_panel=_PANEL, metavar="FILE")]


@dataclass(frozen=True, slots=True)
class Target:
    """What the options said; None is not said."""

    data: str | None = None
    address: str | None = None
    token_file: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def over(self, other: "Target") -> "Target":
        """This one, and where it says nothing, ``other``. An address or a data directory said here hides both there."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) is not None}
        base = replace(other, data=None, address=None) if {"data", "address"} & given.keys() else other
        return replace(base, **given)

    @classmethod
    def of_environment(cls) -> "Target":
        def said(name: str) -> str | None:
            return os.environ.get(f"FOREMAN_{name}") or None

        address = said("ADDRESS")
        return cls(None if address else said("DATA"), address, said("TOKEN_FILE"), said("CA"), said("CERT"), said("KEY"))


OPTIONS: Final = {"data": Data, "address": At, "token_file": TokenFile, "ca": Authority, "cert": Certificate, "key": PrivateKey}


def client(command: Callable[..., Coroutine[Any, Any, int | None]]) -> Callable[..., None]:
    """Turn ``async def command(foreman, …)`` into a command that connects first. What it returns is the exit code."""

    async def connected(said: dict[str, str | None], arguments: dict[str, Any]) -> int | None:
        async with connect(chosen(Target(**said))) as foreman:
            return await command(foreman, **arguments)

    return with_options(command, OPTIONS, connected)


def with_options(
    command: Callable[..., Coroutine[Any, Any, int | None]],
    options: Mapping[str, Any],
    run: Callable[[dict[str, str | None], dict[str, Any]], Coroutine[Any, Any, int | None]],
) -> Callable[..., None]:
    """The command with ``options`` besides its own, in an event loop of its own.

    Its first parameter is ``run``'s to give: that gets what was said of ``options``, and the command's own arguments.
    """
    _, *parameters = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def whole(**arguments: Any) -> None:
        said = {name: arguments.pop(name) for name in options}
        code = asyncio.run(run(said, arguments))
        if code:
            raise typer.Exit(code)

    option = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, option, default=None, annotation=form) for name, form in options.items()]
    every = [parameter.replace(kind=option) for parameter in parameters] + added
    del whole.__wrapped__  # Typer would read the signature of what is wrapped
    whole.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    whole.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    return whole


before_command = Target()


def remember(target: Target) -> None:
    """What was said before the command's name."""
    global before_command  # noqa: PLW0603 (one command line is one process)
    before_command = target


def chosen(said: Target) -> Target:
    """What the options of a command mean, with those before it and the environment."""
    if said.data and said.address:
        raise typer.BadParameter("give --data or --address, not both")
    return said.over(before_command).over(Target.of_environment())


def connect(target: Target) -> Any:
    """A client of the target, as an asynchronous context. Raises InvalidConfiguration for files that do not serve."""
    from foreman.api.client import RemoteForeman

    token = None
    if target.token_file is not None:
        from foreman.api.listeners import read_token

        token = read_token(Path(target.token_file))
    return RemoteForeman.connect(target.address or target.data or DEFAULT_DATA, token=token, tls=_tls(target))


def _tls(target: Target) -> Any:
    if target.ca is None and target.cert is None:
        return None
    import ssl

    try:
        context = ssl.create_default_context(cafile=target.ca)
        if target.cert is not None:
            context.load_cert_chain(target.cert, target.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfiguration([f"--ca, --cert, --key: {error.strerror or error}"]) from error
    return context


Foreman = ForemanInterface
"""The first parameter of every client command."""
