"""House rules that no linter knows: annotated signatures, named reasons, the field's own words, documented modules."""

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.structure.source import Function, SourceFile, functions, python_files

WORDS_THAT_SAY_NOTHING: Final = re.compile(r"(Manager|Handler|Helper|Util)(s|$|(?=[A-Z]))")
FOLDERS_THAT_SAY_NOTHING: Final = {"utils", "util", "helpers", "helper", "common", "misc"}
SHORTEST_REASON: Final = 12


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_every_signature_is_annotated(folder: str) -> None:
    bare = [function.where for file in python_files(folder) for function in functions(file) if not _annotated(function)]
    assert not bare


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks"])
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = [file.path for file in python_files(folder) if file.tree.body and ast.get_docstring(file.tree) is None]
    assert not silent


def test_a_catch_all_gives_its_reason() -> None:
    unexplained = [place for file in python_files("src") for place in _catch_alls_without_reason(file)]
    assert not unexplained, "catch narrowly, or say beside it why not"


def test_class_names_are_the_fields_own_words() -> None:
    named = [
        f"{file.path}:{node.lineno} {node.name}"
        for file in python_files("src")
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef) and WORDS_THAT_SAY_NOTHING.search(node.name)
    ]
    assert not named


def test_no_room_for_odds_and_ends() -> None:
    odd = [file.path for file in python_files("src") if FOLDERS_THAT_SAY_NOTHING & set(re.split(r"[/.]", file.path))]
    assert not odd


def _annotated(function: Function) -> bool:
    arguments = function.node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
    if every and every[0].arg in {"self", "cls"}:
        every = every[1:]
    return function.node.returns is not None and all(argument.annotation is not None for argument in every)


def _catch_alls_without_reason(file: SourceFile) -> Iterator[str]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ExceptHandler) and _catches_all(node):
            near = file.lines[node.lineno - 2 : node.lineno + 1]
            if not any(_is_reason(line) for line in near):
                yield f"{file.path}:{node.lineno}"


def _catches_all(node: ast.ExceptHandler) -> bool:
    if node.type is None:
        return True
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds)


def _is_reason(line: str) -> bool:
    """A comment that says something beside the linter's own mark."""
    _, mark, comment = line.partition("#")
    said = re.sub(r"(#\s*)?noqa(: *[A-Z0-9, ]+)?", "", comment)
    return bool(mark) and len(said.strip(" #-")) >= SHORTEST_REASON
