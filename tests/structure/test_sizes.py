"""Files and functions stay small enough to be read whole."""

from typing import Final

import pytest

from tests.structure.source import SourceFile, functions, python_files

MOST_LINES_OF_A_FILE: Final = 300
MOST_LINES_OF_A_TEST_FILE: Final = 400
MOST_LINES_OF_A_FUNCTION: Final = 60
USUAL_LINES_OF_A_FUNCTION: Final = 40
UNUSUAL_SHARE: Final = 0.05
MOST_CODE_LINES_OF_THE_SUPERVISOR: Final = 1_384
"""The house wants about 1,000; docs/adr/0012 says what the rest is."""


@pytest.mark.parametrize("folder", ["src", "benchmarks"])
def test_a_file_is_one_idea(folder: str) -> None:
    too_long = {file.path: len(file.lines) for file in python_files(folder) if len(file.lines) > MOST_LINES_OF_A_FILE}
    assert not too_long, f"split by idea: {too_long}"


def test_a_test_file_is_one_subject() -> None:
    too_long = {file.path: len(file.lines) for file in python_files("tests") if len(file.lines) > MOST_LINES_OF_A_TEST_FILE}
    assert not too_long, f"split by subject: {too_long}"


def test_no_function_is_too_long() -> None:
    too_long = {
        function.where: function.lines
        for file in python_files("src")
        for function in functions(file)
        if function.lines > MOST_LINES_OF_A_FUNCTION
    }
    assert not too_long, f"one thing at one level: {too_long}"


def test_functions_are_short_nearly_always() -> None:
    every = [function for file in python_files("src") for function in functions(file)]
    unusual = {function.where: function.lines for function in every if function.lines > USUAL_LINES_OF_A_FUNCTION}
    assert len(unusual) <= UNUSUAL_SHARE * len(every), f"{len(unusual)} of {len(every)} functions are long: {unusual}"


def test_the_supervisor_is_small() -> None:
    total = sum(_code_lines(file) for file in python_files("src/foreman/supervisor"))
    assert total <= MOST_CODE_LINES_OF_THE_SUPERVISOR, f"{total} code lines"


def _code_lines(file: SourceFile) -> int:
    """Lines that are neither empty nor comment; docstrings count as prose too."""
    prose = set[int]()
    for node in [file.tree, *(function.node for function in functions(file))]:
        first = node.body[0] if node.body else None
        if first is not None and hasattr(first, "value") and isinstance(getattr(first.value, "value", None), str):
            prose.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return sum(1 for number, line in enumerate(file.lines, 1) if number not in prose and line.strip() and not line.lstrip().startswith("#"))
