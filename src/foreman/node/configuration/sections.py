"""The configuration as frozen values: a section each, and where each value came from. Units stand in the names.

Made by ``load`` and by nobody else, so that what is here is known to be right. ``keys`` has the defaults and the sentences.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from foreman.core.kinds import KindSpec
from foreman.core.restarting import RestartPolicy
from foreman.node.configuration.keys import KEYS

DEFAULT_ORIGIN: Final = "default"


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files. ``client_ca`` None: clients show no certificate and need a token."""

    cert: Path
    key: Path
    client_ca: Path | None

    def context(self) -> ssl.SSLContext:
        """A server's TLS context; demands a client certificate when there is a client_ca. Raises OSError, ssl.SSLError."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        if self.client_ca is not None:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context for talking to other nodes as this one: its certificate is shown, theirs must be of the same authority.

        Raises OSError, ssl.SSLError.
        """
        context = ssl.create_default_context(cafile=self.client_ca)
        context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(frozen=True, slots=True)
class NodeSection:
    """Who the node is and where it listens. ``data`` is absolute. ``listen``: each HOST:PORT."""

    data: Path
    cluster: str
    name: str | None
    capabilities: tuple[str, ...]
    fault_domain: str | None
    listen: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    token_file: Path | None

    @property
    def tls(self) -> Tls | None:
        if self.tls_cert is None or self.tls_key is None:
            return None
        return Tls(self.tls_cert, self.tls_key, self.tls_client_ca)


@dataclass(frozen=True, slots=True)
class DataPlaneSection:
    """How workers are reached from other machines, and show themselves there. ``listen``: HOST:0 or HOST:FIRST-LAST."""

    listen: str | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    auth_file: Path | None


@dataclass(frozen=True, slots=True)
class SupervisionSection:
    """How workers are started, watched and stopped, where their kind does not say otherwise."""

    start_timeout_s: float
    stop_grace_s: float
    watchdog_s: float
    backoff_base_s: float
    backoff_cap_s: float
    backoff_jitter: float
    backoff_reset_s: float
    max_restarts: int
    window_s: float
    start_parallelism: int
    orphan_grace_s: float

    def restart_policy(self) -> RestartPolicy:
        return RestartPolicy(
            backoff_base_s=self.backoff_base_s,
            backoff_cap_s=self.backoff_cap_s,
            jitter=self.backoff_jitter,
            stable_after_s=self.backoff_reset_s,
            max_restarts=self.max_restarts,
            window_s=self.window_s,
        )


@dataclass(frozen=True, slots=True)
class DiskSection:
    min_free_bytes: int
    output_max_bytes: int


@dataclass(frozen=True, slots=True)
class DirectorySection:
    """``url``: sqlite:PATH (relative to the data directory) or etcd://HOST:PORT,…"""

    url: str
    lease_s: float


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything a node is told. ``origins``: dotted key → "default", "foreman.toml:12", "FOREMAN_DATA" or "--data".

    ``file``: the foreman.toml that was read, or None. ``kinds``: those of [kinds.*], sorted by name.
    """

    node: NodeSection
    data_plane: DataPlaneSection
    supervision: SupervisionSection
    disk: DiskSection
    directory: DirectorySection
    kinds: tuple[KindSpec, ...]
    file: Path | None
    origins: Mapping[str, str]

    def origin(self, dotted: str) -> str:
        return self.origins.get(dotted, DEFAULT_ORIGIN)

    def value(self, dotted: str) -> Any:
        """The value of a key of the table, such as ``supervision.window``."""
        key = next(key for key in KEYS if key.dotted == dotted)
        return getattr(getattr(self, key.section), key.attribute)


SECTION_CLASSES: Final[Mapping[str, type[Any]]] = {
    "node": NodeSection,
    "data_plane": DataPlaneSection,
    "supervision": SupervisionSection,
    "disk": DiskSection,
    "directory": DirectorySection,
}


def assemble(values: Mapping[str, Any], kinds: tuple[KindSpec, ...], file: Path | None, origins: Mapping[str, str]) -> Configuration:
    """``values``: dotted key → parsed value; a key that is not in it has its default."""
    sections = {
        name: section(**{key.attribute: values.get(key.dotted, key.default) for key in KEYS if key.section == name})
        for name, section in SECTION_CLASSES.items()
    }
    return Configuration(**sections, kinds=kinds, file=file, origins=dict(origins))
