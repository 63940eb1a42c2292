"""The loop of a Python driver. Runs in the peer's environment, so it imports nothing else of this project."""

import json
import sys
from collections.abc import Callable
from typing import Any


def serve(commands: dict[str, Callable[..., Any]]) -> None:
    """Answer commands until standard input ends; a failure is an answer too. Whatever a library prints goes to standard error."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"result": commands[asked.pop("command")](**asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
