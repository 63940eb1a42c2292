"""What the records check of their fields, so that one that exists is right. Pure; raises ValueError, to which ``decode`` adds the key."""

from typing import Final

from foreman.core.errors import ForemanError
from foreman.core.ids import is_node_name, parse_worker_id

MAX_TEXT: Final = 1_024
MAX_EPOCH: Final = 2**63 - 1


def check(holds: bool, problem: str) -> None:  # noqa: FBT001 - an assertion that stays in force
    """ValueError(problem) unless it holds."""
    if not holds:
        raise ValueError(problem)


def check_id(text: str, field: str) -> None:
    """``text`` is an id of a worker or a node."""
    try:
        parse_worker_id(text)
    except ForemanError:
        raise ValueError(f"{field} is no id") from None


def check_name(text: str) -> None:
    """``text`` is what people may call a node; "": nobody said."""
    check(not text or is_node_name(text), "name is no name of a node")


def check_epoch(epoch: int) -> None:
    """``epoch`` can be one."""
    check(0 <= epoch <= MAX_EPOCH, "epoch is out of bounds")


def check_text(text: str, most: int = MAX_TEXT) -> None:
    """``text`` is short and without NUL."""
    check(len(text) <= most and "\0" not in text, f"a text is longer than {most} characters, or holds NUL")


def fitting(text: str, most: int = MAX_TEXT) -> str:
    """``text`` as a record may hold it and JSON can say it. What nodes and workers say may be long, and hold anything that text can."""
    return text[:most].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
