"""Draws docs/images: real output of real commands, as SVG.

    python docs/pictures.py record     run the commands anew on a node of its own, and keep what they said as text
    python docs/pictures.py            draw the SVGs from the texts; the same text gives the same picture, byte for byte

The texts are committed beside the pictures, so that a change can be read; a test holds pictures to texts, and texts to the program.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

IMAGES: Final = Path(__file__).resolve().parent / "images"
FOLDER: Final = Path("/tmp/try")
SHOWN_AS: Final = "/srv/try"
"""As long as FOLDER, so that columns stay where they are."""
TITLES: Final = {"demo": "foreman demo", "tour": "a node and its workers"}
TOUR: Final = (
    "foreman new log_1 --kind log",
    "foreman new storage_1 --kind storage --param 'logs=[\"log_1\"]'",
    "kill -9 $(foreman show storage_1 --json | jq .pid)",
    "foreman wait",
    "foreman ls",
    "foreman why storage_1 | tail -n 6 | grep -v Said | cut -c 12-",
)
_THEME: Final = TerminalTheme(
    (22, 24, 29), (216, 219, 226),
    [(22, 24, 29), (224, 108, 117), (126, 192, 128), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194), (171, 178, 191)],
)  # fmt: skip
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{aria}">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 17px; font-family: system-ui, sans-serif; fill: #8b92a0; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_STYLES: Final = (
    (r"^\$ .*", "bold"),
    (r"^\$", "green"),
    (r"^[A-Z]{2,}.*[A-Z]{2,}$", "bold cyan"),
    (r"\b(ok|identical|healthy|running)\b", "green"),
    (r"\bSIGKILL\b", "red"),
    (r"\b\d+\.\d\d s\b", "yellow"),
    (r"\b[0-9a-f]{64}\b", "dim"),
)


def draw(name: str) -> str:
    """The picture of docs/images/NAME.txt."""
    lines = [*(IMAGES / f"{name}.txt").read_text(encoding="utf-8").splitlines(), ""]
    console = Console(record=True, width=max(map(len, lines)) + 1, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        text = Text(line)
        for pattern, style in _STYLES:
            text.highlight_regex(pattern, style)
        console.print(text, no_wrap=True, crop=True)
    code = _FORMAT.replace("{aria}", TITLES[name])
    svg = console.export_svg(title=TITLES[name], theme=_THEME, code_format=code, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def record() -> None:
    """Run the demo and the tour, and keep what they said."""
    IMAGES.mkdir(exist_ok=True)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "132", "NO_COLOR": "1"}
    folder = str(FOLDER)
    FOLDER.mkdir()
    try:
        said = _said("foreman demo 2>/dev/null", folder, environment)
        _keep("demo", f"$ foreman demo\n{said}", folder)
        node = subprocess.Popen(["foreman", "up"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            _keep("tour", "".join(f"$ {command}\n{_said(command, folder, environment)}" for command in _in_order(node)), folder)
        finally:
            node.terminate()
            node.wait()
    finally:
        shutil.rmtree(FOLDER)


def _in_order(node: "subprocess.Popen[bytes]") -> tuple[str, ...]:
    assert node.stdout is not None
    while b"another terminal" not in node.stdout.readline():
        pass
    return TOUR


def _said(command: str, folder: str, environment: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    time.sleep(1)  # a person reads, too; and an uptime of 0 s looks odd
    return done.stdout


def _keep(name: str, text: str, folder: str) -> None:
    plain = re.sub(r"[ \t]+$", "", text.replace(folder, SHOWN_AS), flags=re.MULTILINE)
    (IMAGES / f"{name}.txt").write_text(plain, encoding="utf-8")


def main(arguments: list[str]) -> int:
    if arguments == ["record"]:
        record()
    elif arguments:
        print(__doc__)
        return 2
    for name in TITLES:
        (IMAGES / f"{name}.svg").write_text(draw(name), encoding="utf-8")
        print(f"docs/images/{name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
