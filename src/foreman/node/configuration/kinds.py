"""[kinds.NAME] tables → KindSpec: programs that nobody here wrote, run as workers. Reads nothing, starts nothing."""

import re
import shlex
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

from foreman.core.kinds import (
    PLACEHOLDER,
    PLAIN_PLACEHOLDERS,
    CommandProgram,
    ExecReadiness,
    HttpReadiness,
    KindSpec,
    Limits,
    NotifyReadiness,
    Readiness,
    RestartType,
    StartedReadiness,
    StopSpec,
    TcpReadiness,
    check_command_params,
)
from foreman.node.configuration.forms import COUNT, DURATION, POSITIVE_DURATION, SIZE, WORD, WORDS, Form
from foreman.node.configuration.problems import Problems, nearest

_KIND_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_BUILT_IN: Final = frozenset({"log", "storage"})
Place = Callable[..., str]
"""Where a key stands: ``place("stop", "grace")`` is its file and line."""


def _command(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw or not all(isinstance(w, str) and "\0" not in w for w in raw) or not raw[0]:
        raise ValueError('a list of a program and its arguments (["redis-server", "--port", "0"])')
    for match in (match for word in raw for match in PLACEHOLDER.finditer(word)):
        name = match.group(1)
        near = nearest(name, PLAIN_PLACEHOLDERS)
        if name not in PLAIN_PLACEHOLDERS and not name.startswith("params.") and near:
            raise ValueError(f"a command without the unknown placeholder {{{name}}}{near}")
    return tuple(raw)


def _ready(raw: object) -> Readiness:
    expected = '"notify", "started", "tcp:PORT", "http:URL" or "exec:COMMAND"'
    if not isinstance(raw, str):
        raise ValueError(expected)  # noqa: TRY004 (one kind of error for the caller: not this form)
    word, colon, rest = raw.partition(":")
    if not colon and word in _PLAIN_READINESS:
        return _PLAIN_READINESS[word]
    if word == "tcp" and rest.isascii() and rest.isdigit() and 0 < int(rest[:6]) < 65536:
        return TcpReadiness(int(rest))
    if word in {"http", "https"} and (url := raw if rest.startswith("//") else rest).startswith(("http://", "https://")):
        return HttpReadiness(url)
    if word == "exec" and (argv := _split(rest)):
        return ExecReadiness(argv)
    raise ValueError(expected)


_PLAIN_READINESS: Final[Mapping[str, Readiness]] = {"notify": NotifyReadiness(), "started": StartedReadiness()}


def _split(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError:
        return ()


def _signal(raw: object) -> str:
    name = raw.upper().removeprefix("SIG") if isinstance(raw, str) else ""
    if f"SIG{name}" not in signal.Signals.__members__ or name in {"KILL", "STOP"}:
        raise ValueError('the name of a signal that can be caught ("TERM", "INT", "QUIT")')
    return name


def _restart(raw: object) -> RestartType:
    try:
        return RestartType(raw)  # type: ignore[arg-type]  # whatever TOML gave: that is what is being found out
    except ValueError:
        raise ValueError('"permanent", "transient" or "temporary"') from None


_READY: Final = Form("readiness", "", _ready)
KIND_FORMS: Final[Mapping[str, Form]] = {
    "command": Form("command", "", _command),
    "after": WORDS,
    "ready": _READY,
    "restart": Form("restart type", "", _restart),
    "watchdog": DURATION,
    "start_timeout": POSITIVE_DURATION,
    "user": WORD,
}
TABLE_FORMS: Final[Mapping[str, Mapping[str, Form]]] = {
    "stop": {"signal": Form("signal", "", _signal), "grace": DURATION},
    "limits": {"nofile": COUNT, "memory": SIZE, "nproc": COUNT, "core": SIZE},
}


def parse_kind(name: str, table: object, place: Place, problems: Problems, grace_s: float) -> KindSpec | None:
    """One [kinds.NAME] table; None, with problems noted, when something is wrong. ``grace_s``: the node's stop_grace."""
    if not _KIND_NAME.fullmatch(name) or name in _BUILT_IN:
        why = "is built in; choose another name" if name in _BUILT_IN else "is no name: use 1 to 63 of a-z, 0-9, _ and -"
        problems.add(place(), f"kind {name!r} {why}")
        return None
    if not isinstance(table, dict):
        problems.add(place(), f"kinds.{name} must be a table with at least a command")
        return None
    before = len(problems.sentences)
    values = _plain_values(table, place, problems)
    tables = {key: _inner_table(key, table.get(key, {}), place, problems) for key in TABLE_FORMS}
    if "command" not in table:
        problems.add(place(), f"kinds.{name} needs a command")
    return _spec(name, values, tables, grace_s) if len(problems.sentences) == before else None


def _plain_values(table: Mapping[str, Any], place: Place, problems: Problems) -> dict[str, Any]:
    values = {}
    for key, raw in table.items():
        if key in KIND_FORMS:
            values[key] = problems.parse(KIND_FORMS[key], raw, place(key), key)
        elif key not in TABLE_FORMS:
            problems.unknown(place(key), "key", key, [*KIND_FORMS, *TABLE_FORMS])
    return values


def _inner_table(key: str, table: object, place: Place, problems: Problems) -> dict[str, Any]:
    forms = TABLE_FORMS[key]
    if not isinstance(table, dict):
        problems.add(place(key), f"{key} must be a table such as {{ {', '.join(f'{name} = …' for name in forms)} }}")
        return {}
    values = {}
    for name, raw in table.items():
        if name in forms:
            values[name] = problems.parse(forms[name], raw, place(key, name), f"{key}.{name}")
        else:
            problems.unknown(place(key, name), "key", f"{key}.{name}", [f"{key}.{known}" for known in forms])
    return values


def _spec(name: str, values: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]], grace_s: float) -> KindSpec:
    stop, limits = tables["stop"], tables["limits"]
    return KindSpec(
        name=name,
        program=CommandProgram(values["command"]),
        after=values.get("after", ()),
        ready=values.get("ready", NotifyReadiness()),
        restart=values.get("restart", RestartType.TRANSIENT),
        stop=StopSpec(signal=stop.get("signal", "TERM"), grace_s=stop.get("grace", grace_s)),
        limits=Limits(limits.get("nofile"), limits.get("memory"), limits.get("nproc"), limits.get("core", 0)),
        watchdog_s=values.get("watchdog"),
        start_timeout_s=values.get("start_timeout"),
        user=values.get("user"),
        check_params=check_command_params(values["command"]),
    )
