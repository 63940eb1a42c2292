"""Writes the pages that are made from tables in the code, so that page and code cannot differ.

``make docs`` writes them; a test compares them with what is committed. A page is a function here that returns its whole text.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from foreman.core.data_errors import DataPlaneError
from foreman.core.errors import ForemanError
from foreman.core.kinds import CommandProgram, KindSpec
from foreman.core.lifecycle import TABLE, Move, Row, State
from foreman.node.configuration.keys import KEYS, SECTIONS, Key
from foreman.node.configuration.kinds import KIND_FORMS, TABLE_FORMS

HERE: Final = Path(__file__).resolve().parent
_NOTE: Final = "<!-- Made by `make docs`; edit the table in the code instead. -->"


def lifecycle() -> str:
    """The life of a worker: a diagram, and each row with its sentence."""
    lines = [_NOTE, "", "# The life of a worker", "", "```mermaid", "stateDiagram-v2"]
    lines += [f"    {_name(row.source)} --> {_name(row.target)}: {row.move.value}" for row in TABLE]
    lines += ["```", "", "| from | what happens | to | meaning |", "|---|---|---|---|"]
    lines += [f"| {_cell(row.source)} | {row.move.value} | {_cell(row.target)} | {row.sentence} |" for row in _by_source()]
    return "\n".join(lines) + "\n"


def _by_source() -> list[Row]:
    order: list[State | None] = [None, *State]
    moves = list(Move)
    return sorted(TABLE, key=lambda row: (order.index(row.source), moves.index(row.move)))


def _name(state: State | None) -> str:
    return "[*]" if state is None else state.value


def _cell(state: State | None) -> str:
    return "–" if state is None else f"`{state.value}`"


# --- configuration ---

_KIND_SENTENCES: Final = {
    "command": "The program and its arguments, not a shell line. Placeholders: `{data}`, `{run}`, `{id}`, `{cluster}`, `{params.NAME}`. Required.",
    "after": "Kinds whose workers start before, and stop after, workers of this one.",
    "ready": '`"notify"` (it says READY=1), `"started"`, `"tcp:PORT"`, `"http:URL"` (2xx), `"exec:COMMAND"` (exit 0).',
    "restart": "`permanent`: always. `transient`: after an abnormal end. `temporary`: never.",
    "watchdog": "Seconds of silence after which a worker that promised WATCHDOG=1 is taken for hung and killed.",
    "start_timeout": "How long from start to readiness; `[supervision] start_timeout` when not given.",
    "user": "The user it runs as, by name or number. Needs a node that runs as root.",
    "stop.signal": "How it is asked to end.",
    "stop.grace": "Seconds until KILL, to it and everything it started; `[supervision] stop_grace` when not given.",
    "limits.nofile": "Open files (RLIMIT_NOFILE).",
    "limits.memory": "What it may write privately, in bytes or with a unit (RLIMIT_DATA).",
    "limits.nproc": "Processes of its user (RLIMIT_NPROC).",
    "limits.core": "Size of a core dump; 0, none, when not given.",
}


def configuration() -> str:
    """Every key, from the table that reads them."""
    lines = [
        _NOTE, "", "# Configuration", "",
        "Three layers, the last wins: `foreman.toml` (`--config`, `FOREMAN_CONFIG`, or `./foreman.toml`), `FOREMAN_*` in the environment, flags.",
        "`foreman config show` prints what is in force and where each value came from; `foreman config check` only judges. Durations are",
        'seconds or text with a unit (`10`, `"500ms"`, `"2h"`), sizes bytes or text with a unit (`"64MiB"`). *Live*: `SIGHUP` applies a change',
        "without a restart of the node.", "",
    ]  # fmt: skip
    for section in SECTIONS:
        lines += [f"## [{section}]", "", "| key | default | variable | live | meaning |", "|---|---|---|---|---|"]
        lines += [_key_row(key) for key in KEYS if key.section == section]
        lines += [""]
    lines += ["## [kinds.NAME]", "", "A program that runs as a worker. All keys are live: they hold from the next start of a worker.", ""]
    lines += ["| key | form | default | meaning |", "|---|---|---|---|"]
    default = KindSpec(name="x", program=CommandProgram(("x",)))
    forms = {**KIND_FORMS, **{f"{table}.{key}": form for table, keys in TABLE_FORMS.items() for key, form in keys.items()}}
    assert forms.keys() == _KIND_SENTENCES.keys(), "a key of [kinds.*] without its sentence"
    lines += [f"| `{key}` | {form.word} | {_kind_default(default, key)} | {_KIND_SENTENCES[key]} |" for key, form in forms.items()]
    return "\n".join(lines) + "\n"


def _key_row(key: Key) -> str:
    return f"| `{key.name}` | {_value(key.default, key.form.unit)} | `{key.variable}` | {'yes' if key.live else '–'} | {key.sentence} |"


def _value(value: Any, unit: str) -> str:
    if value is None or value == ():
        return "–"
    if isinstance(value, tuple):
        return f"`{', '.join(value)}`"
    if unit == "bytes" and value % (1 << 20) == 0:
        return f"`{value >> 20}MiB`"
    return f"`{value:g}` {unit}".strip() if isinstance(value, float | int) else f"`{value}`"


def _kind_default(spec: KindSpec, key: str) -> str:
    known = {"restart": f"`{spec.restart.value}`", "ready": '`"notify"`', "stop.signal": f"`{spec.stop.signal}`", "limits.core": "`0`"}
    return known.get(key, "–")


# --- errors ---


def errors() -> str:
    """The whole tree, by status."""
    control = sorted(_below(ForemanError), key=lambda kind: (kind.http_status, kind.code))
    data = sorted(_below(DataPlaneError), key=lambda kind: kind.word)
    lines = [
        _NOTE, "", "# Errors", "",
        "Each error is a class of `foreman.errors` with a stable `code`, an HTTP status, and its facts as attributes. Over HTTP it is an",
        "`application/problem+json` (RFC 9457) with `code`, `detail` and the facts; the client raises the same class with the same facts. On the",
        "command line it is one line on stderr and an exit code: 1 failed, 2 usage, 69 node not reachable, 75 timed out.", "",
        "| class | code | status | facts |", "|---|---|---|---|",
        *(f"| `{kind.__name__}` | `{kind.code}` | {_statuses(kind)} | {_facts(kind)} |" for kind in control
          if not issubclass(kind, DataPlaneError)),
        "", "`ForemanTimeout` is also a `TimeoutError`, `ForemanUnavailable` a `ConnectionError`. After a timeout the work goes on.", "",
        "## What log and storage workers answer", "",
        "On the wire a RESP error: the word, the facts, a sentence. The clients raise the class.", "",
        "| word | class | facts |", "|---|---|---|",
        *(f"| `{kind.word}` | `{kind.__name__}` | {_facts(kind)} |" for kind in data),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _statuses(kind: type[ForemanError]) -> str:
    return "401, 403" if kind.code == "not_authorized" else str(kind.http_status)


def _facts(kind: type[ForemanError]) -> str:
    return ", ".join(f"`{name}`" for name in kind.fields) or "–"


def _below(root: type[Any]) -> Iterator[type[Any]]:
    """Only the classes of the tree's own modules: who else is loaded must not change the page."""
    for kind in root.__subclasses__():
        if kind.__module__ in {"foreman.core.errors", "foreman.core.cluster_errors", "foreman.core.data_errors"}:
            yield kind
            yield from _below(kind)


# --- the ways in ---

_PLACE: Final = ("data", "address", "token_file", "ca", "cert", "key")


def command_line() -> str:
    """Every command with its options, from the program itself."""
    import typer

    from foreman.cli.main import make_app

    root: Any = typer.main.get_command(make_app())
    lines = [
        _NOTE, "", "# Command line", "",
        "Every command that talks to a node finds it by `--data DIR` or `--address unix:PATH|https://HOST:PORT` (before or after the command's",
        "name), by `FOREMAN_ADDRESS` or `FOREMAN_DATA`, or in `./foreman-data`. Over TCP it also takes `--token-file`, `--ca`, `--cert` and `--key`,",
        "or `FOREMAN_TOKEN_FILE`, `FOREMAN_CA`, `FOREMAN_CERT` and `FOREMAN_KEY`. Every listing takes `--json`.", "",
        "Exit: 0 done · 1 the operation failed, with the reason in one line on stderr · 2 usage · 69 the node cannot be reached · 75 timed out ·",
        "130 interrupted.", "",
    ]  # fmt: skip
    for name, command in sorted(_commands(root, "foreman")):
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        options = [param for param in command.params if param.param_type_name == "option" and param.name != "help"]
        to_node = {param.name for param in options} >= set(_PLACE)
        usage = " ".join(
            [name, *(f"{p.name.upper().rstrip('S') if p.nargs == -1 else p.name.upper()}{'…' if p.nargs == -1 else ''}" for p in arguments)]
        )
        lines += [f"## {name.removeprefix('foreman ')}", "", f"`{usage}`", "", inspect.cleandoc(command.help or ""), ""]
        own = [param for param in options if not (to_node and param.name in _PLACE)]
        if own:
            lines += ["| option | default | meaning |", "|---|---|---|", *(_option_row(param) for param in own), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child_name, child in children.items():
        yield from _commands(child, f"{name} {child_name}")


def _option_row(param: Any) -> str:
    value = "" if param.is_flag else f" {param.metavar or param.opts[0].lstrip('-').upper()}"
    default = param.default if isinstance(param.default, int | float | str) and not param.is_flag else None
    return f"| `{', '.join(param.opts)}{value}` | {'–' if default is None else f'`{default}`'} | {param.help or ''} |"


def http_api() -> str:
    """Every operation, from the OpenAPI document that the node serves."""
    from foreman.api.app import create_app
    from foreman.node.metrics import Metrics
    from foreman.testing.fake_foreman import FakeForeman

    document = create_app(FakeForeman(), metrics=Metrics()).openapi()
    lines = [
        _NOTE, "", "# HTTP", "",
        "On `DATA/run/foreman.sock` always (mode 0600; another user is refused by the kernel's word on who connects), on TCP when configured. JSON in,",
        "JSON out; unknown fields and parameters are 422, bodies over 1 MiB 413. Errors are `application/problem+json`: see [errors](errors.md).",
        "The document itself, with every schema, is at `GET /openapi.json`; `GET /` is a page for looking.", "",
        "| operation | body or query | answers | meaning |", "|---|---|---|---|",
    ]  # fmt: skip
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = ", ".join(sorted(code for code in operation["responses"] if code != "default"))
            meaning = " ".join((operation.get("description") or operation["summary"]).split()).replace("|", "\\|")
            lines.append(f"| `{method.upper()} {path}` | {_takes(document, operation)} | {answers} | {meaning} |")
    return "\n".join(lines) + "\n"


def _takes(document: dict[str, Any], operation: dict[str, Any]) -> str:
    query = [f"`?{p['name']}=`" for p in operation.get("parameters", []) if p["in"] == "query"]
    headers = [f"`{p['name']}:`" for p in operation.get("parameters", []) if p["in"] == "header"]
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    found = re.search(r"#/components/schemas/(\w+)", str(schema))
    fields: list[str] = []
    if found is not None:
        model = document["components"]["schemas"][found[1]]
        required = set(model.get("required", []))
        fields = [f"`{name}`" if name in required else f"*`{name}`*" for name in model["properties"]]
    return " ".join([*query, *headers]) + ", ".join(fields) or "–"


def metrics() -> str:
    """What /metrics shows, from the registry itself."""
    from foreman.node.metrics import Metrics

    lines = [_NOTE, "", "# Metrics", "", "`GET /metrics`, Prometheus' text format. A histogram is measured in seconds.", ""]
    lines += ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for collector in vars(Metrics()).values():
        for family in collector.describe() if hasattr(collector, "describe") else ():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001 - no public name
            lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(lines) + "\n"


def cluster_events() -> str:
    """The words of the cluster's events, and what its status holds."""
    from foreman.control.cluster_view import ClusterView
    from foreman.control.desk.changes import WORDS
    from foreman.control.desk.plain import plain_of

    lines = [
        _NOTE, "", "# Events and status of a cluster", "",
        "`foreman cluster events --follow --json`, `GET /v1/cluster/events` and `foreman.cluster.events()` give the same: `what` (a word), `about` (the",
        "node or worker, or nothing), `sentence` (for people), `at` (Unix time, when it was seen), `after` (to go on after it: `Last-Event-ID`, `?after=`).",
        "", "| `what` | meaning |", "|---|---|", *(f"| `{word}` | {meaning} |" for word, meaning in WORDS.items()), "",
        "`foreman cluster status --json`, `GET /v1/cluster` and `foreman.cluster.status()` give what stands in the directory, at one revision of it; keys of",
        "the key space are in base64. What is not there is `null` or empty.", "",
        "| field | record | stands there |", "|---|---|---|",
        *(f"| `{name}` | {_RECORDS[name][0]} | {_RECORDS[name][1]} |" for name in plain_of(ClusterView())),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


_LEASE: Final = "while its node does: under the node's lease"
_RECORDS: Final = {
    "revision": ("of the directory", "–"),
    "spec": ("the wish: `logs`, `storage_replicas`, `splits`, `replace_after_s`", "until it is changed"),
    "leader": ("`node`, `address`", "under the leader's lease"),
    "status": (
        "what the director does: `state` (recovering, stalled, watching), `phase`, `why`, `missing`, `since`",
        "under the leader's lease",
    ),
    "layout": ("`epoch`, `logs`, `teams` with `members` and those `joining`", "until the next"),
    "story": ("`lines`: `when`, `epoch`, `what`, `reason`; `names`: id → what a node is called, also when it is gone", "the newest 200"),
    "epoch": ("the highest that was ever given to a director", "for ever"),
    "nodes": ("`id`, `name`, `address`, `capabilities`, `fault_domain`", _LEASE),
    "health": (
        "of each node: `status`, `reason`, and its ailing `workers` (at most 100, those given up first; `more` are not shown)",
        _LEASE,
    ),
    "services": ("healthy workers: `id`, `kind`, `name`, `node`", _LEASE),
    "draining": ("ids of nodes", "until `foreman node undrain`"),
    "requests": (
        "workers that the cluster was asked for: `id`, `kind`, `params`, `state` (asked, made, failed, removing), `node`, `problem`, `error`",
        "until `foreman cluster rm`",
    ),
    "unreadable": ("sentences about records that this program cannot read", "–"),
}


def recovery_phases() -> str:
    """The phases of a recovery: a diagram of their order, and each with what its module says of it."""
    from foreman.control.recovery.table import FIRST, PHASES

    lines = [
        _NOTE, "", "# The phases of a recovery", "",
        "One director walks through them once an epoch ([why so](../explanation/the-cluster.md)). `foreman cluster status` names the one it is in, `foreman",
        "cluster why` says how long each took. A phase that *stalls* sends the walk back to the beginning, with everything read anew; *superseded* means that",
        "a newer epoch has begun, or must.", "",
        "```mermaid", "stateDiagram-v2", f"    [*] --> {_state(FIRST)}",
        *(f"    {_state(name)} --> {_state(following)}" for name, phase in PHASES.items() for following in phase.follows),
        *(f"    {_state(name)} --> [*]" for name, phase in PHASES.items() if not phase.follows),
        "```", "",
        "| phase | what it does | stalls when | superseded when | then |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, phase in PHASES.items():
        purpose, stalls, superseded, follows = _said_of(phase.run)
        lines.append(f"| {name} | {purpose} | {stalls} | {superseded} | {follows} |")
    return "\n".join(lines) + "\n"


_ENDS: Final = re.compile(r"Stalls: (.+?)\. (?:Superseded: (.+?)\. )?Follows: (.+)\.")


def _said_of(phase: Callable[..., Any]) -> tuple[str, str, str, str]:
    """What the phase's module begins with: purpose, when it stalls, when it is superseded, what follows."""
    said = inspect.cleandoc(sys.modules[phase.__module__].__doc__ or "").replace("``", "`").split("\n\n")
    purpose, ends = (" ".join(paragraph.split()) for paragraph in (said[0], said[-1]))
    found = _ENDS.fullmatch(ends)
    assert found is not None, f"{phase.__module__} does not end with when it stalls and what follows"
    stalls, superseded, follows = ("–" if each in {None, "never"} else str(each) for each in found.groups())
    return re.sub(r" \(\w+\.py\)", "", purpose), stalls, superseded, follows


def _state(phase: str) -> str:
    return phase.replace(" ", "_")


PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/lifecycle.md": lifecycle,
    "reference/configuration.md": configuration,
    "reference/errors.md": errors,
    "reference/command-line.md": command_line,
    "reference/http-api.md": http_api,
    "reference/metrics.md": metrics,
    "reference/cluster-events.md": cluster_events,
    "reference/recovery-phases.md": recovery_phases,
}


def main() -> int:
    for path, page in PAGES.items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(page(), encoding="utf-8")
        print(f"docs/{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
