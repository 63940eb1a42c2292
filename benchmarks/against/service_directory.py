"""A directory with a ``run`` script is a service: the form that runit and s6 share."""

import shlex
from collections.abc import Sequence
from pathlib import Path


def write_service(folder: Path, argv: Sequence[str]) -> None:
    """A service directory as runit and s6 both take it."""
    folder.mkdir()
    run = folder / "run"
    run.write_text(f"#!/bin/sh\nexec {shlex.join(argv)}\n", encoding="utf-8")
    run.chmod(0o755)
