"""Declarations as the source has them: signatures, fields with their docstrings, constants.

The evaluated ones say too much (an alias becomes the 170 words that it stands for) and too little (a docstring below a
field is no attribute of anything).
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen
from docstring_parser import DocstringStyle, parse

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@frozen
class Field:
    """A field of a class, or a constant of a module."""

    name: str
    type: str
    """Annotation, as it is written."""
    default: str
    """Default, as it is written; empty where there is none."""
    doc: str


@frozen
class Argument:
    """An argument of a function."""

    name: str
    type: str
    default: str
    """Empty where it has to be given."""
    doc: str


@cache
def _tree(module: str) -> ast.Module:
    path = sys.modules[module].__file__
    return ast.parse(Path(path or "").read_text(encoding="utf-8"))


@cache
def _definitions(module: str) -> Mapping[str, ast.AST]:
    """Return every class and function of a module by its qualified name; of overloads the last, which is the body."""
    found: dict[str, ast.AST] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + child.name] = child
                if isinstance(child, ast.ClassDef):
                    visit(child, f"{prefix}{child.name}.")

    visit(_tree(module), "")
    return found


def _node_of(value: Any) -> ast.AST | None:
    value = inspect.unwrap(value) if inspect.isroutine(value) else value
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if module not in sys.modules or not str(module).startswith("pinwheel_async"):
        return None
    return _definitions(module).get(name)


def fields_of(kind: type) -> dict[str, Field]:
    """Return the fields that a class declares itself, in their order."""
    node = _node_of(kind)
    return {field.name: field for field in _declared(node)} if isinstance(node, ast.ClassDef) else {}


def all_fields_of(kind: type) -> dict[str, Field]:
    """Return the fields of a class and of those that it inherits from, its own first."""
    found: dict[str, Field] = {}
    for base in kind.__mro__:
        found.update({name: field for name, field in fields_of(base).items() if name not in found})
    return found


def constants_of(module: str) -> dict[str, Field]:
    """Return the constants of a module, in their order."""
    return {field.name: field for field in _declared(_tree(module))}


def _declared(node: ast.Module | ast.ClassDef) -> Iterator[Field]:
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        target: ast.expr
        if isinstance(statement, ast.AnnAssign):
            target, annotation = statement.target, _text(statement.annotation)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, annotation = statement.targets[0], ""
        else:
            continue
        if isinstance(target, ast.Name):
            doc = ""
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                doc = inspect.cleandoc(str(following.value.value))
            yield Field(target.id, annotation, "" if statement.value is None else ast.unparse(statement.value), doc)


def _text(annotation: ast.expr | None) -> str:
    if annotation is None:
        return ""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def _function_of(value: Any) -> Function | None:
    node = _node_of(value)
    if isinstance(node, ast.ClassDef):
        node = next((_node_of(vars(base)["__init__"]) for base in value.__mro__ if _has_own_init(base)), None)
    return node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _has_own_init(kind: type) -> bool:
    function = vars(kind).get("__init__")
    return function is not None and _node_of(function) is not None


def signature_of(value: Any) -> tuple[str, str] | None:
    """Return arguments and result of a function, or of the making of a class, as they are written."""
    node = _function_of(value)
    if node is None:
        return ("()", "") if isinstance(value, type) and not fields_of(value) else _signature_of_fields(value)
    arguments = ast.parse(f"def f({ast.unparse(node.args)}): ...").body[0]
    assert isinstance(arguments, ast.FunctionDef)  # noqa: S101  # a type checker cannot know
    spec = arguments.args
    if inspect.isclass(value) or "." in getattr(value, "__qualname__", ""):
        first = [*spec.posonlyargs, *spec.args][:1]
        if first and first[0].arg in {"self", "cls"}:
            (spec.posonlyargs or spec.args).pop(0)
    if spec.kwarg is not None and spec.kwarg.arg == "misspelt":  # takes what is refused
        spec.kwarg = None
    for argument in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]:
        if isinstance(argument.annotation, ast.Constant) and isinstance(argument.annotation.value, str):
            argument.annotation = ast.parse(argument.annotation.value, mode="eval").body
    return f"({ast.unparse(spec)})", "" if isinstance(value, type) else _text(node.returns)


def _signature_of_fields(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, type):
        return None
    declared = [
        field
        for field in all_fields_of(value).values()
        if not field.name.startswith("_") and "ClassVar" not in field.type
    ]
    return f"({', '.join(field.name for field in declared)})", ""


def arguments_of(value: Any) -> list[Argument]:
    """Return the arguments of a function, or of the making of a class, with what its docstring says of each."""
    node = _function_of(value)
    if node is None:
        return []
    holders = [value, vars(value).get("__init__")] if isinstance(value, type) else [value]
    docs: dict[str, str] = {}
    for holder in holders:
        found = parse(inspect.getdoc(holder) or "", style=DocstringStyle.GOOGLE)
        docs |= {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in found.params}
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(spec.defaults)), *spec.defaults]
    pairs = [*zip(positional, defaults, strict=True), *zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
    return [
        Argument(
            argument.arg,
            _text(argument.annotation),
            "" if default is None else ast.unparse(default),
            docs.get(argument.arg, ""),
        )
        for argument, default in pairs
        if argument.arg not in {"self", "cls"}
    ]
