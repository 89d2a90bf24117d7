"""Descriptions of classes, functions and constants, in Markdown, from docstrings and declarations."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, cast

from docstring_parser import DocstringStyle, parse

from pinwheel_async._core.model import Model
from pinwheel_async.docs import _names, _source
from pinwheel_async.docs._reference.markdown import codes, directive, indented, unit_of, values_of

_SECTIONS = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example):$", re.MULTILINE)

_WORD = re.compile(r"(?<![\w.`{}])`([A-Za-z_]\w*)(\(\))?`")

_TYPE_WORD = re.compile(r"[A-Za-z_]\w*")

_NO_FIELDS = {"object", "Model", "Serializable", "Discreet", "Unpicklable", "Protocol", "Generic"}
"""Bases that say nothing about what a class holds."""


def describe(name: str, value: Any, *, extra: str = "") -> str:
    """Return the description of a public name, whatever it stands for.

    Args:
        name: The name, with its package.
        value: What it stands for.
        extra: What is said behind the prose of its docstring.
    """
    if isinstance(value, type):
        return _describe_class(name, cast("type[Any]", value), extra)
    if inspect.isroutine(value):
        return describe_function("py:function", name, value, fence=":::::")
    return _describe_constant(name, value)


def describe_function(kind: str, name: str, value: Any, *, fence: str = "::::", extra: str = "") -> str:
    """Return the description of a function or method: signature, prose, arguments, result, errors."""
    arguments, result = _source.signature_of(value) or ("()", "")
    options = (
        [":async:"]
        if inspect.iscoroutinefunction(inspect.unwrap(value)) or inspect.isasyncgenfunction(inspect.unwrap(value))
        else []
    )
    signature = f"{name}{arguments}{f' -> {result}' if result else ''}"
    docs = {argument.name: argument.doc for argument in _source.arguments_of(value)}
    return directive(
        kind,
        signature,
        _body(inspect.getdoc(value) or "", docs, extra),
        options=[*options, ":no-contents-entry:"] if kind == "py:method" else options,
        fence=fence,
    )


def prose_of(value: Any) -> str:
    """Return a docstring up to its first section."""
    return _SECTIONS.split(inspect.getdoc(value) or "")[0].strip()


def linked(text: str) -> str:
    """Return a text in which words in backticks that are public names are links."""
    parts = re.split(r"(^\s*```.*?^\s*```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if index % 2 else _WORD.sub(_link, part) for index, part in enumerate(parts))


def _link(match: re.Match[str]) -> str:
    home = _names.by_word().get(match[1])
    return (
        match[0]
        if home is None or (match[1].islower() and match[1] not in _FUNCTIONS)
        else f"{{py:obj}}`{match[1]}{match[2] or ''} <{home}>`"
    )


_FUNCTIONS = {
    "capture",
    "with_reply",
    "background",
    "webhook_app",
    "parse_delivery",
    "make_event",
    "signed_delivery",
    "as_of",
    "lift_erasure",
    "decode_event",
    "parse_link_event",
    "make_converter",
}
"""Public names in small letters that are no ordinary words."""


def typed(annotation: str) -> str:
    """Return a type as code, in which public names are links."""
    parts: list[str] = []
    at = 0
    for match in _TYPE_WORD.finditer(annotation):
        home = _names.by_word().get(match[0])
        if home is not None and not match[0].islower():
            parts += [_code(annotation[at : match.start()]), f"{{py:obj}}`{match[0]} <{home}>`"]
            at = match.end()
    return "".join([*parts, _code(annotation[at:])])


def _code(text: str) -> str:
    return f"`{text}`" if text.strip() else text


def definitions(rows: Mapping[str, str] | list[tuple[str, str]]) -> str:
    """Return a list of definitions."""
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    return "\n".join(f"{term}\n: {indented(text.strip() or '-').strip()}\n" for term, text in pairs)


def _body(doc: str, arguments: Mapping[str, str], extra: str = "") -> str:
    prose, *rest = _SECTIONS.split(doc)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    parts = [linked(prose.strip()), extra]
    if "Example" in sections:
        parts.append(inspect.cleandoc(sections["Example"]))
    if arguments and any(arguments.values()):
        parts += ["**Arguments**", definitions({f"`{name}`": linked(text) for name, text in arguments.items()})]
    for title, section in (("Returns", "Returns"), ("Yields", "Yields")):
        if section in sections:
            parts.append(f"**{title}** {linked(' '.join(sections[section].split()))}")
    if "Raises" in sections:
        found = parse(f"x\n\nRaises:\n{sections['Raises'].rstrip()}", style=DocstringStyle.GOOGLE).raises
        parts += [
            "**Raises**",
            definitions(
                [(typed(entry.type_name or ""), linked(" ".join((entry.description or "").split()))) for entry in found]
            ),
        ]
    return "\n\n".join(part for part in parts if part)


def _describe_class(name: str, kind: type[Any], extra: str) -> str:
    arguments, _ = _source.signature_of(kind) or ("", "")
    is_record = issubclass(kind, Model) or not _has_init(kind)
    bases = [
        base
        for base in kind.__bases__
        if base.__name__ not in _NO_FIELDS and base.__module__.startswith("pinwheel_async")
    ]
    body = [
        _body(
            inspect.getdoc(kind) or "",
            {} if is_record else {argument.name: argument.doc for argument in _source.arguments_of(kind)},
            extra,
        )
    ]
    if bases:
        holds = is_record and any(_source.all_fields_of(base) for base in bases)
        above = ", ".join(typed(base.__name__) for base in bases)
        body.insert(0, f"A {above}{', whose fields it has, too' if holds else ''}.")
    fields = [*_fields_of(kind), *_documented_attributes(kind), *_properties_of(kind)]
    if fields:
        body += ["**Fields**" if is_record else "**Attributes**", definitions(fields)]
    body += list(_methods_of(name, kind))
    what = "py:exception" if issubclass(kind, BaseException) else "py:class"
    return directive(what, f"{name}{'' if is_record else arguments}", "\n\n".join(filter(None, body)), fence=":::::")


def _has_init(kind: type[Any]) -> bool:
    return any(
        base.__module__.startswith("pinwheel_async")
        and inspect.isfunction(vars(base).get("__init__"))
        and not hasattr(base, "__attrs_attrs__")
        for base in kind.__mro__
    )


def _fields_of(kind: type[Any]) -> Iterator[tuple[str, str]]:
    for field in _source.fields_of(kind).values():
        if field.name.startswith("_") or "ClassVar" in field.type or not field.type:
            continue
        notes = [f"Unit: {unit}." for unit in [unit_of(field)] if unit]
        if field.default and not field.default.startswith(("field(", "Factory(")):
            notes.append(f"Default: `{field.default}`.")
        yield f"`{field.name}`: {typed(field.type)}", "\n\n".join(filter(None, [linked(field.doc), " ".join(notes)]))


def _documented_attributes(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """Yield the attributes that a docstring lists."""
    parts = _SECTIONS.split(inspect.getdoc(kind) or "")
    for section, text in zip(parts[1::2], parts[2::2], strict=True):
        if section == "Attributes":
            for entry in parse(f"x\n\nArgs:\n{text.rstrip()}", style=DocstringStyle.GOOGLE).params:
                yield f"`{entry.arg_name}`", linked(" ".join((entry.description or "").split()))


def _members_of(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the public members of a class, and those of bases that are not public themselves."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("pinwheel_async") or base.__name__ in _NO_FIELDS:
            continue
        if base is not kind and f"{base.__module__}.{base.__qualname__}" in _names.homes():
            continue
        for name, value in vars(base).items():
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name, value


def _properties_of(kind: type[Any]) -> Iterator[tuple[str, str]]:
    for name, value in _members_of(kind):
        if isinstance(value, property):
            result = _source.signature_of(value.fget)
            yield f"`{name}`: {typed(result[1]) if result else ''}", linked(inspect.getdoc(value) or "")


def _methods_of(name: str, kind: type[Any]) -> Iterator[str]:
    for member, value in _members_of(kind):
        function: Any = getattr(value, "__func__", value)  # of a class method
        if inspect.isfunction(function):
            yield describe_function("py:method", f"{name}.{member}", function)


def _describe_constant(name: str, value: Any) -> str:
    package, _, word = name.rpartition(".")
    modules = sorted(
        (
            module
            for module in sys.modules
            if module.startswith("pinwheel_async") and getattr(sys.modules[module], "__file__", None)
        ),
        key=lambda module: (not module.startswith(package), module),
    )
    field = next((found for module in modules if (found := _source.constants_of(module).get(word)) and found.doc), None)
    values = values_of(value)
    body = [linked(field.doc) if field else "", f"Values: {codes(values)}." if values else ""]
    return directive("py:data", name, "\n\n".join(filter(None, body)), fence=":::::")
