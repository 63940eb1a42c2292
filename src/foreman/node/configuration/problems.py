"""Everything that is wrong with a configuration, gathered so that an operator sees it all at once. Pure.

Each problem is one sentence that begins with its place: ``foreman.toml:12``, ``FOREMAN_LISTEN`` or ``--listen``.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from foreman.core.errors import InvalidConfiguration
from foreman.node.configuration.forms import Form

_PASSWORD: Final = re.compile(r"(://[^/:@]*:)[^/]*(?=@)")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean …?`` when something known is near, else the empty text."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else ""


def without_password(text: str) -> str:
    """A URL as it may be shown."""
    return _PASSWORD.sub(r"\1…", text)


class Problems:
    """A list that grows while the configuration is read."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, place: str, sentence: str) -> None:
        self.sentences.append(f"{place}: {sentence}")

    def unknown(self, place: str, what: str, name: str, known: Iterable[str]) -> None:
        self.add(place, f"unknown {what} {name!r}{nearest(name, known)}")

    def parse(self, form: Form, raw: object, place: str, what: str) -> Any | None:
        """The value; None, with a problem noted, when it does not fit its form."""
        return self.attempt(form.parse, raw, place, what)

    def attempt(self, parse: Callable[[Any], Any], raw: object, place: str, what: str) -> Any | None:
        try:
            return parse(raw)
        except ValueError as expected:
            self.add(place, f"{what} must be {expected}, not {_shown(raw)}")
            return None

    def raise_if_any(self) -> None:
        if self.sentences:
            raise InvalidConfiguration(self.sentences)


def _shown(raw: object) -> str:
    text = without_password(repr(raw))
    return text if len(text) <= 60 else text[:57] + "..."
