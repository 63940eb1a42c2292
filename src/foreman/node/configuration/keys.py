"""Every key of the configuration, once: type, unit, default, whether it may change under running workers, and its sentence. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from foreman.node.configuration.forms import (
    ADDRESSES,
    CLUSTER,
    COUNT,
    DIRECTORY_URL,
    DURATION,
    FRACTION,
    PATH,
    POSITIVE_COUNT,
    POSITIVE_DURATION,
    SIZE,
    WORD,
    WORDS,
    WORKER_LISTEN,
    Form,
)


@dataclass(frozen=True, slots=True)
class Key:
    """``name`` may be dotted: ``backoff.base`` stands in foreman.toml as ``backoff = { base = … }``.

    ``attribute``: its field in the section's dataclass. ``live``: a reload applies it without a restart of the node.
    """

    section: str
    name: str
    attribute: str
    form: Form
    default: Any
    live: bool
    sentence: str

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment: the section is left out for [node], as in FOREMAN_DATA."""
        dotted = self.name if self.section == "node" else self.dotted
        return "FOREMAN_" + dotted.replace(".", "_").upper()

    @property
    def path(self) -> tuple[str, ...]:
        return (self.section, *self.name.split("."))


KEYS: Final[tuple[Key, ...]] = (
    Key("node", "data", "data", PATH, Path("foreman-data"), False, "The directory that holds the node: its workers and their data."),
    Key("node", "cluster", "cluster", CLUSTER, "foreman", False,
        "The cluster this node belongs to; the first part of each service's name."),
    Key("node", "name", "name", WORD, None, False, "What people call this node; the machine's host name when not set."),
    Key("node", "capabilities", "capabilities", WORDS, ("log", "storage", "coordination"), False,
        "What the cluster may ask of this node."),
    Key("node", "fault_domain", "fault_domain", WORD, None, False,
        "What fails together with this node (a rack, a zone); the node itself when not set."),
    Key("node", "listen", "listen", ADDRESSES, (), False,
        "Addresses to listen on besides the Unix socket; each needs client certificates or a token."),
    Key("node", "tls.cert", "tls_cert", PATH, None, False, "The certificate shown on every listen address (PEM)."),
    Key("node", "tls.key", "tls_key", PATH, None, False, "The private key of that certificate (PEM)."),
    Key("node", "tls.client_ca", "tls_client_ca", PATH, None, False,
        "Only clients with a certificate signed by this authority are let in (PEM)."),
    Key("node", "token_file", "token_file", PATH, None, False,
        "A file holding the bearer token that clients of a listen address must send."),
    Key("data_plane", "listen", "listen", WORKER_LISTEN, None, True,
        "Where log and storage workers listen besides their Unix sockets: HOST, or HOST:FIRST-LAST to keep them to a range of ports. "
        "A worker is told at its start; needs tls or auth_file."),
    Key("data_plane", "tls.cert", "tls_cert", PATH, None, True,
        "The certificate that workers show, to clients and to one another (PEM); with key and client_ca. Not set: [node] tls."),
    Key("data_plane", "tls.key", "tls_key", PATH, None, True, "The private key of that certificate (PEM)."),
    Key("data_plane", "tls.client_ca", "tls_client_ca", PATH, None, True,
        "Only clients with a certificate signed by this authority reach a worker over TCP (PEM)."),
    Key("data_plane", "auth_file", "auth_file", PATH, None, True,
        "A file holding the password that clients of a worker give by AUTH over TCP; the same on every node."),
    Key("supervision", "start_timeout", "start_timeout_s", POSITIVE_DURATION, 30.0, True,
        "How long a worker may take from its start to READY=1; it may ask for more with EXTEND_TIMEOUT_USEC."),
    Key("supervision", "stop_grace", "stop_grace_s", DURATION, 10.0, True,
        "How long a worker may take to end after it was asked, before it is killed."),
    Key("supervision", "watchdog", "watchdog_s", DURATION, 30.0, True,
        "Silence after which a worker that sends WATCHDOG=1 is taken for hung and killed; 0 turns it off."),
    Key("supervision", "backoff.base", "backoff_base_s", POSITIVE_DURATION, 0.1, True,
        "The wait before the second restart in a row; it doubles with each (the first restart is immediate)."),
    Key("supervision", "backoff.cap", "backoff_cap_s", POSITIVE_DURATION, 30.0, True, "The longest wait between two restarts."),
    Key("supervision", "backoff.jitter", "backoff_jitter", FRACTION, 0.2, True, "The share of each wait that is left to chance."),
    Key("supervision", "backoff.reset", "backoff_reset_s", POSITIVE_DURATION, 10.0, True,
        "A run this long is stable: the waits begin anew."),
    Key("supervision", "max_restarts", "max_restarts", COUNT, 10, True, "Restarts within the window after which a worker is given up."),
    Key("supervision", "window", "window_s", POSITIVE_DURATION, 60.0, True, "The window in which max_restarts are counted."),
    Key("supervision", "start_parallelism", "start_parallelism", POSITIVE_COUNT, 16, True, "How many workers start at the same time."),
    Key("supervision", "orphan_grace", "orphan_grace_s", DURATION, 600.0, False,
        "How long workers go on without their server before the supervisor stops them."),
    Key("disk", "min_free", "min_free_bytes", SIZE, 64 * 2**20, True,
        "No worker is created when less than this is free in the data directory."),
    Key("disk", "output_max", "output_max_bytes", SIZE, 16 * 2**20, True, "How much output of each worker is kept, rotated."),
    Key("directory", "url", "url", DIRECTORY_URL, "sqlite:directory.db", False,
        "The cluster's directory: sqlite:PATH (relative to the data directory) or etcd://HOST:PORT,HOST:PORT, with "
        "?ca=FILE&cert=FILE&key=FILE for TLS and USER@ and &password_file=FILE for a user."),
    Key("directory", "lease", "lease_s", POSITIVE_DURATION, 10.0, False, "How long this node's entries outlive the node in the directory."),
)  # fmt: skip

SECTIONS: Final = tuple(dict.fromkeys(key.section for key in KEYS))
BY_DOTTED: Final = {key.dotted: key for key in KEYS}
BY_VARIABLE: Final = {key.variable: key for key in KEYS}
