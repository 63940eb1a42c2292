"""Reads the three layers, the last wins: the file, the environment, the flags. Everything that is wrong is told at once.

Owns the order of the layers and the sentences about what contradicts what. Opens the one file and nothing else.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from foreman.core.errors import InvalidConfiguration
from foreman.core.kinds import KindSpec
from foreman.node.configuration.data_plane import check_data_plane
from foreman.node.configuration.forms import host_and_port, is_loopback
from foreman.node.configuration.keys import BY_DOTTED, BY_VARIABLE, KEYS, SECTIONS, Key
from foreman.node.configuration.kinds import parse_kind
from foreman.node.configuration.problems import Problems, nearest
from foreman.node.configuration.sections import Configuration, assemble
from foreman.node.configuration.toml_lines import line_of

FILE_NAME: Final = "foreman.toml"
_SLIP: Final = 0.85
"""How near an unknown variable must be to count as a slip: all begin with FOREMAN_, and some are somebody else's."""
LARGEST_FILE_BYTES: Final = 1 << 20
_NOT_OURS: Final = frozenset(
    "FOREMAN_" + word for word in ("ADDRESS", "CONFIG", "INCARNATION", "KIND", "PARAMS", "RUN", "TOKEN", "WORKER_ID")
)
"""Variables of the clients and of a worker's own environment: known, and no keys of the configuration."""


@dataclass(slots=True)
class _Layers:
    """Values and origins as they stand so far. Paths are made absolute where they come in: each layer has its own base."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)

    def take(self, key: Key, raw: object, origin: str, base: Path) -> None:
        value = self.problems.parse(key.form, raw, origin, key.dotted)
        if value is not None:
            self.values[key.dotted] = key.form.at_home(value, base)
            self.origins[key.dotted] = origin


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> Configuration:
    """The configuration in force.

    ``file``: the foreman.toml; when not given, FOREMAN_CONFIG, else ./foreman.toml if there is one. ``flags``: dotted key → value
    (text is parsed as in the environment); None counts as not given. ``folder``: where relative paths start and ./foreman.toml is
    looked for; the current directory when not given.

    Raises InvalidConfiguration with every problem, each with its place and the nearest known key.
    """
    environment = {} if environment is None else environment
    folder = Path.cwd() if folder is None else folder
    layers = _Layers()
    path = _chosen_file(file, environment, folder)
    text, document = _read(path) if path is not None else ("", {})
    if path is not None:
        _take_file(layers, path, text, document)
    _take_environment(layers, environment, folder)
    _take_flags(layers, flags or {}, folder)
    kinds = _kinds(layers, path, text, document.get("kinds", {}))
    layers.values.setdefault("node.data", folder / BY_DOTTED["node.data"].default)
    configuration = assemble(layers.values, kinds, path, layers.origins)
    _check_together(configuration, layers.problems)
    layers.problems.raise_if_any()
    return configuration


def _chosen_file(file: Path | None, environment: Mapping[str, str], folder: Path) -> Path | None:
    named = file or (Path(environment["FOREMAN_CONFIG"]) if environment.get("FOREMAN_CONFIG") else None)
    if named is not None:
        return folder / named
    usual = folder / FILE_NAME
    return usual if usual.is_file() else None


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "its name holds NUL"
        raise InvalidConfiguration([f"{path}: cannot be read: {why}"]) from error
    if len(raw) > LARGEST_FILE_BYTES:
        raise InvalidConfiguration([f"{path}: larger than {LARGEST_FILE_BYTES} bytes"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidConfiguration([f"{path}:{line}: not UTF-8 text"]) from error
    try:
        return text, tomllib.loads(text)
    except RecursionError as error:
        raise InvalidConfiguration([f"{path}: nested too deeply"]) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfiguration([_syntax(path, text, str(error))]) from error


def _syntax(path: Path, text: str, message: str) -> str:
    """The parser ends its message with ``(at line 3, column 7)`` or ``(at end of document)``; the place belongs in front."""
    what, _, where = message.partition(" (at ")
    digits = where.removeprefix("line ").partition(",")[0]
    line = digits if digits.isdigit() else str(max(1, len(text.splitlines())))
    return f"{path}:{line}: not TOML: {what[:1].lower()}{what[1:]}"


def _take_file(layers: _Layers, path: Path, text: str, document: Mapping[str, Any]) -> None:
    base = path.parent
    for section, table in document.items():
        place = f"{path}:{line_of(text, (section,))}"
        if section == "kinds":
            continue
        if section not in SECTIONS:
            known = [*(f"[{name}]" for name in (*SECTIONS, "kinds.*"))]
            layers.problems.add(place, f"unknown section [{section}]{nearest(f'[{section}]', known) or _home_of(section)}")
        elif not isinstance(table, dict):
            layers.problems.add(place, f"{section} must be a table: [{section}]")
        else:
            _take_table(layers, path, text, base, (section,), table)


def _home_of(name: str) -> str:
    """A key written without its section is the commonest slip: say where it belongs."""
    home = next((key for key in KEYS if key.name.partition(".")[0] == name), None)
    return f"; {name} belongs under [{home.section}]" if home else ""


def _take_table(layers: _Layers, path: Path, text: str, base: Path, prefix: tuple[str, ...], table: Mapping[str, Any]) -> None:
    known = [key for key in KEYS if key.path[: len(prefix)] == prefix]
    depth = len(prefix)
    for name, raw in table.items():
        at = (*prefix, name)
        place = f"{path}:{line_of(text, at)}"
        exact = next((key for key in known if key.path == at), None)
        deeper = [key for key in known if key.path[: depth + 1] == at]
        if exact is not None:
            layers.take(exact, raw, place, base)
        elif deeper and isinstance(raw, dict):
            _take_table(layers, path, text, base, at, raw)
        elif deeper:
            names = ", ".join(f"{key.path[-1]} = …" for key in deeper)
            layers.problems.add(place, f"{'.'.join(at)} must be a table: {{ {names} }}")
        else:
            layers.problems.unknown(place, "key", ".".join(at), [".".join(key.path[: depth + 1]) for key in known])


def _take_environment(layers: _Layers, environment: Mapping[str, str], folder: Path) -> None:
    for name in sorted(environment):
        if not name.startswith("FOREMAN_") or name in _NOT_OURS:
            continue
        key = BY_VARIABLE.get(name)
        if key is not None and environment[name]:
            layers.take(key, environment[name], name, folder)
        elif key is None and (_of_a_section(name) or nearest(name, BY_VARIABLE, _SLIP)):
            layers.problems.unknown(name, "variable", name, BY_VARIABLE)


def _of_a_section(name: str) -> bool:
    return any(name.startswith(f"FOREMAN_{section.upper()}_") for section in SECTIONS if section != "node")


def _take_flags(layers: _Layers, flags: Mapping[str, object], folder: Path) -> None:
    for dotted, raw in flags.items():
        key = BY_DOTTED.get(dotted)
        if key is None:
            layers.problems.unknown("flags", "key", dotted, BY_DOTTED)
        elif raw is not None:
            text = str(raw) if isinstance(raw, Path) else raw
            layers.take(key, text, "--" + key.name.replace(".", "-").replace("_", "-"), folder)


def _kinds(layers: _Layers, path: Path | None, text: str, tables: object) -> tuple[KindSpec, ...]:
    if not isinstance(tables, dict):
        layers.problems.add(f"{path}:{line_of(text, ('kinds',))}", "kinds must be tables: [kinds.NAME]")
        return ()
    grace_s = layers.values.get("supervision.stop_grace", BY_DOTTED["supervision.stop_grace"].default)
    specs = []
    for name, table in sorted(tables.items()):

        def place(*keys: str, name: str = name) -> str:
            return f"{path}:{line_of(text, ('kinds', name, *keys))}"

        specs.append(parse_kind(name, table, place, layers.problems, grace_s))
    return tuple(spec for spec in specs if spec is not None)


def _check_together(configuration: Configuration, problems: Problems) -> None:
    """What is right alone and wrong together."""
    node, supervision = configuration.node, configuration.supervision
    if (node.tls_cert is None) != (node.tls_key is None):
        problems.add(configuration.origin("node.tls.cert" if node.tls_cert else "node.tls.key"), "tls needs both cert and key")
    if node.tls_client_ca is not None and node.tls is None:
        problems.add(configuration.origin("node.tls.client_ca"), "tls.client_ca needs tls.cert and tls.key beside it")
    if supervision.backoff_base_s > supervision.backoff_cap_s:
        problems.add(configuration.origin("supervision.backoff.base"), "backoff.base must not be above backoff.cap")
    for address in node.listen:
        _check_listen(configuration, address, problems)
    check_data_plane(configuration, problems)


def _check_listen(configuration: Configuration, address: str, problems: Problems) -> None:
    """Never open to whoever comes by: client certificates, or a token, and a token never in the clear over a network."""
    node, place = configuration.node, configuration.origin("node.listen")
    has_certificates = node.tls is not None and node.tls_client_ca is not None
    if not has_certificates and node.token_file is None:
        problems.add(place, f"listening on {address} needs tls with client_ca (client certificates) or a token_file")
        return
    parts = host_and_port(address)
    host = parts[0] if parts else ""
    if node.tls is None and not is_loopback(host):
        problems.add(place, f"listening on {address} needs tls (cert and key): a token must not cross a network in the clear")
