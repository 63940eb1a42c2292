"""Keeps the start of the command line short: text options and flags without pydantic.

Typer 0.2x checks each value through a pydantic adapter, which costs 45 ms of imports even when every value is text that needs no
check. A parameter that is plain text, or a flag, gets this stand-in; every other goes Typer's way, and so do all when Typer changes inside.
"""

from typing import Any, Final

import typer

_SLOT: Final = "_runtime_param"


class _AsItIs:
    """What Typer asks to turn a parameter's value into what it is annotated as: text is text already, and a flag a boolean."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        return value


def lighten(command: Any) -> None:
    """Give every plain parameter of ``command``, and of the commands in it, the stand-in."""
    for parameter in command.get_params(typer.Context(command, help_option_names=["-h", "--help"])):
        annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        if (annotation is str or (annotation is bool and getattr(parameter, "is_flag", False))) and _is_plain(parameter):
            setattr(parameter, _SLOT, _AsItIs())
    for inner in getattr(command, "commands", {}).values():
        lighten(inner)


def _is_plain(parameter: Any) -> bool:
    """One value, unchecked, and a Typer that has the slot empty until it is first used."""
    return getattr(parameter, _SLOT, ...) is None and parameter.nargs == 1 and not parameter.multiple
