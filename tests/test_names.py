"""Names of variables and other identifiers: the noun of what they hold, and no words of a private language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

UNUSED = {
    *("bell", "course", "desk", "grip", "hop", "lane", "ledger", "letter", "mischief", "parcel", "sealed", "story"),
    *("tally", "twin"),
}
"""Words that stood for a standard term: notifier, run, resource, lock, request, key, store, event, fault, plan ..."""

ALLOWED = {"dead_letter", "dead_letters", "UploadedSSIAwardLetter"}
"""Standard terms, and names of the API, that have such a word in them."""


def _code(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every Python file in these folders."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def _parts(name: str) -> Iterator[str]:
    """Yield the words of an identifier in lower case and in the singular."""
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name):
        yield re.sub(r"ies$", "y", word.lower()).removesuffix("s")


def _identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of every identifier: what a name, attribute, argument, definition or import is called."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield getattr(node, "lineno", 0), name


def _repeated_variables(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what names the variables of loops, comprehensions and lambdas."""
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            yield node.target
        elif isinstance(node, ast.Lambda):
            yield node.args


def _called_one(code: str) -> list[int]:
    return [line for part in _repeated_variables(ast.parse(code)) for line, name in _identifiers(part) if name == "one"]


def _with_unused_words(code: str) -> list[str]:
    found = {name for _, name in _identifiers(ast.parse(code)) if name not in ALLOWED}
    return sorted(name for name in found if UNUSED.intersection(_parts(name)))


def test_variables_bear_a_noun():
    """No variable of a loop, comprehension or lambda is called `one`."""
    files = _code("pinwheel_async", "tests", "benchmarks")

    assert [] == [f"{path}:{line}" for path, code in files for line in _called_one(code)]


def test_identifiers_have_standard_words():
    """No identifier of the package has a word in it that stands for a standard term."""
    assert [] == [f"{path}: {name}" for path, code in _code("pinwheel_async") for name in _with_unused_words(code)]


def test_files_have_standard_words():
    """No file or folder of the package has such a word in its name."""
    assert [] == [path for path, _ in _code("pinwheel_async") if UNUSED.intersection(_parts(path))]


@pytest.mark.parametrize(
    "code",
    [
        "for one in []: pass",
        "for at, (one, _) in []: pass",
        "async def f():\n    async for one in g(): pass",
        "[one for one in []]",
        "{a: one for a, one in []}",
        "max([], key=lambda one: one)",
    ],
)
def test_planted_variable(code: str):
    """A planted variable is found."""
    assert _called_one(code)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("lane = 1", "lane"),
        ("_LANES = 1", "_LANES"),
        ("class SealedPage: ...", "SealedPage"),
        ("def tell_story(): ...", "tell_story"),
        ("def f(stories): ...", "stories"),
        ("f(ledger_of=1)", "ledger_of"),
        ("a.next_hop", "next_hop"),
        ("import a.bell", "a.bell"),
        ("from a import b as twin", "twin"),
        ("import a\nletter = a.dead_letter", "letter"),
    ],
)
def test_planted_word(code: str, name: str):
    """A planted word is found."""
    assert [name] == _with_unused_words(code)


@pytest.mark.parametrize(
    "code", ["history = shop = planet = 1", "one = 1", "dead_letters = 1  # one lane", "from a import discourse"]
)
def test_other_words(code: str):
    """Other words, and prose, are no problem."""
    assert [] == _called_one(code) == _with_unused_words(code)
