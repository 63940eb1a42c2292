"""The unit on the page about systemd is one that systemd takes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = next(block for block in blocks(ROOT / "docs/how-to/run-under-systemd.md") if block.name == "foreman.service")
    path = tmp_path / unit.name
    path.write_text(unit.text, encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, "foreman.service" in done.stderr) == (0, False), done.stderr
