"""What every error has: a code, an HTTP status, its facts, one sentence. And how it travels: as an RFC 9457 problem, and back.

Each class has a stable ``code`` (a word for programs), an ``http_status``, and its facts as named attributes. ``str(error)`` is one
sentence that says what happened and, where there is something to do, what to do. Two errors with the same facts are equal, so results
can be compared. :meth:`ForemanError.facts` out, :func:`error_from_facts` in.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class ForemanError(Exception):
    """The base of all. ``fields`` names the attributes that carry the facts, in the order of the constructor."""

    code: ClassVar[str] = "foreman_error"
    http_status: ClassVar[int] = 500
    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, code: str = "", status: int = 0, fields: tuple[str, ...] = ()) -> None:
        cls.code, cls.http_status, cls.fields = code or cls.code, status or cls.http_status, fields or cls.fields

    def facts(self) -> dict[str, Any]:
        """The named facts as plain JSON values."""
        return {name: _plain(getattr(self, name)) for name in self.fields}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ForemanError) and type(self) is type(other) and self.facts() == other.facts()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.facts())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.facts().items())})"


def _plain(value: Any) -> Any:
    match value:
        case ForemanError():
            return {"code": value.code, "detail": str(value), **value.facts()}
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
        case str() | bytes():
            return value
        case Sequence():
            return [_plain(v) for v in value]
        case _:
            return value


def _family(root: type[ForemanError]) -> dict[str, type[ForemanError]]:
    known = {root.code: root}
    for child in root.__subclasses__():
        known |= _family(child)
    return known


def error_from_facts(code: str, detail: str, facts: Mapping[str, Any]) -> ForemanError:
    """The error another process told of: the same class with the same facts; an unknown code is a plain ForemanError."""
    kind = _family(ForemanError).get(code)
    if kind is None or kind is ForemanError or any(name not in facts for name in kind.fields):
        return ForemanError(detail)
    return kind(*(facts[name] for name in kind.fields))
