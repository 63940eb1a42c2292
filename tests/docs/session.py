"""Runs the commands of a page as its reader would: one shell, one directory, a terminal of its own for what stays in the foreground.

Owns the shell and what it started; all of it is ended with the session. Output is compared with what the page shows: numbers stand
for any number, sixteen hexadecimal digits for any such, spaces for any spaces, ``…`` for anything in a line, a line of ``…`` alone for any
lines.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.docs.markdown import Block

SHOWN_AS: Final = "/srv/try"
"""What pages call the directory in which their commands run."""
COMMAND_S: Final = 40.0
_STAYS: Final = re.compile(r"^(foreman (--\S+ \S+ )*(up|events)\b|foreman cluster events .*--follow|foreman output .*-f|etcd\b|make run)")
_END: Final = "\x1e"


@dataclass(frozen=True, slots=True)
class Command:
    """A command as typed, and the output the page shows for it."""

    text: str
    shown: tuple[str, ...]

    @property
    def stays(self) -> bool:
        """It runs until it is interrupted, so it has a terminal of its own."""
        return _STAYS.match(self.text) is not None and not self.text.rstrip().endswith("&")

    @property
    def may_fail(self) -> bool:
        """The page shows that it fails: foreman's own line, or a question mark of the shell."""
        return any(line.startswith("foreman: ") for line in self.shown)


def commands_of(block: Block) -> list[Command]:
    """``$ `` begins a command in a console block, each line in a sh block; a backslash or an open here-document carries on."""
    lines = block.text.splitlines()
    found: list[Command] = []
    while lines:
        line = lines.pop(0)
        if block.language == "console":
            assert line.startswith("$ "), f"{block.where}: output before any command: {line!r}"
            line = line.removeprefix("$ ")
        elif not line.strip() or line.lstrip().startswith("#"):
            continue
        text = [line]
        while lines and text[-1].endswith("\\"):
            text.append(lines.pop(0).removeprefix("> "))
        if (here := re.search(r"<<-?\s*'?(\w+)'?", line)) is not None:
            while text[-1] != here[1]:
                text.append(lines.pop(0).removeprefix("> "))
        shown = []
        while block.language == "console" and lines and not lines[0].startswith("$ "):
            shown.append(lines.pop(0))
        found.append(Command("\n".join(text), tuple(shown)))
    return found


class Session:
    """``async with Session() as session``: a shell in a fresh directory with foreman on its path."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="d", dir="/tmp"))
        self._staying: list[tuple[int, Path]] = []
        self._shell: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOREMAN_", "PYTEST_"))}
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
        self._shell = await asyncio.create_subprocess_exec(
            "bash", "--norc", "--noprofile", cwd=self.folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, start_new_session=True, limit=1 << 22,
            env={**kept, "PATH": path, "HOME": str(self.folder), "COLUMNS": "200", "NO_COLOR": "1"},
        )  # fmt: skip
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._shell is not None
        staying = [Path(f"/proc/{pid}") for pid, _ in self._staying]
        for process in filter(Path.exists, staying):
            os.kill(int(process.name), signal.SIGTERM)
        try:
            async with asyncio.timeout(COMMAND_S):
                while any(_lives(process) for process in staying):
                    await asyncio.sleep(0.02)
                await self._shell.communicate(b"")
        except TimeoutError:
            os.killpg(self._shell.pid, signal.SIGKILL)
            await self._shell.wait()
            raise
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, block: Block) -> None:
        path = self.folder / block.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    async def run(self, block: Block) -> None:
        """Every command of the block, in order; fails where one does, or where it says something else than the page."""
        for command in commands_of(block):
            await (self._run_staying(block, command) if command.stays else self._run(block, command))

    async def _run(self, block: Block, command: Command) -> None:
        said, code = await self._typed(command.text)
        where = f"{block.where}: `{command.text}`"
        assert code == 0 or command.may_fail, f"{where} exits {code}:\n{said}"
        if command.shown:
            problem = difference(command.shown, self._plain(said))
            assert problem is None, f"{where}: {problem}\n--- it said\n{said}"

    async def _run_staying(self, block: Block, command: Command) -> None:
        """In a terminal of its own, until everything the page shows has come."""
        out = Path(f"{self.folder}.{len(self._staying)}.out")
        for made in (out, Path(f"{out}.err")):
            made.touch()  # the shell makes them only after it has forked, which may be after we look
        said, code = await self._typed(f"{command.text} >{out} 2>{out}.err & echo $!; disown")
        assert code == 0, said
        self._staying.append((int(said.split()[-1]), out))
        try:
            async with asyncio.timeout(COMMAND_S):
                while not shows(command.shown, self._plain(out.read_text(encoding="utf-8"))):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            told = out.read_text(encoding="utf-8") + Path(f"{out}.err").read_text(encoding="utf-8")
            raise AssertionError(
                f"{block.where}: `{command.text}` did not show\n" + "\n".join(command.shown) + f"\n--- it said\n{told}"
            ) from None
        finally:
            out.unlink()
            Path(f"{out}.err").unlink()

    async def _typed(self, text: str) -> tuple[str, int]:
        assert self._shell is not None
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {text}\n}} </dev/null\nprintf '\\n{_END}%s\\n' $?\n".encode())
        async with asyncio.timeout(COMMAND_S):
            said = await self._shell.stdout.readuntil(_END.encode())
            code = await self._shell.stdout.readline()
        return said.decode("utf-8", "replace").removesuffix(_END), int(code)

    def _plain(self, text: str) -> str:
        return text.replace(str(self.folder), SHOWN_AS)


def _lives(process: Path) -> bool:
    """Not gone, and not merely waiting for the shell to notice its end."""
    try:
        return (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def difference(shown: tuple[str, ...], said: str) -> str | None:
    """None when ``said`` is what is shown, whole."""
    want = [normal(line) for line in shown if line.strip()]
    have = [normal(line) for line in said.splitlines() if line.strip()]
    pattern = "".join("(?:[^\n]*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n" for line in want)
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in have)):
        return None
    missing = next((line for line in want if line != "…" and not any(_like(line, other) for other in have)), None)
    return f"the page shows another output; first line that did not come: {missing!r}"


def shows(shown: tuple[str, ...], said: str) -> bool:
    """Every line that is shown has come, in order; others may stand between."""
    have = iter([normal(line) for line in said.splitlines()])
    return all(any(_like(line, other) for other in have) for line in map(normal, shown) if line not in {"", "…"})


def _like(want: str, have: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, want.split("…"))), have) is not None


def normal(line: str) -> str:
    """Without what differs from run to run."""
    line = re.sub(r"\b[0-9a-f]{16}\b|\b[0-9a-f]{64}\b", "h", line)
    line = re.sub(r"\d+(?:[.,:]\d+)*", "0", line)
    return re.sub(r"[\s─-╿]+", " ", line).strip()
