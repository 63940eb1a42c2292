"""Where the node's own log goes: stderr, as text for people or a JSON object a line. A log that cannot be written is lost, never fatal."""

import logging
import sys
from contextlib import suppress
from typing import Any, Final

import structlog

LEVELS: Final = ("debug", "info", "warning", "error")


class _Stderr:
    """structlog's last step. stderr may be a closed pipe or a full disk; a node must not end of that."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


def configure_logs(level: str = "info", *, as_json: bool | None = None) -> None:
    """``as_json`` None: text on a terminal, JSON anywhere else."""
    json_lines = not sys.stderr.isatty() if as_json is None else as_json
    last: Any = structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(pad_event_to=24)
    traces = [structlog.processors.format_exc_info] if json_lines else []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *traces,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Stderr(),
        cache_logger_on_first_use=False,
    )


def configure_logs_unless_done() -> None:
    """Inside somebody's program: warnings only, and nothing at all is changed when the program has configured structlog itself."""
    if not structlog.is_configured():
        configure_logs("warning")
