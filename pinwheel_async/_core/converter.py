"""cattrs converter: models to JSON-ready plain values, and back, as exact as an answer of the API.

The only place that knows cattrs. Its stock hooks corrupt payroll data in silence: they turn null into the text "None",
12.7 into 12 and an object into a list of its keys. Ours forgive what does not change the meaning (a null where the
documentation says never, a time without offset), note it as drift, and refuse the rest with its path, never its value.

The same hooks are the slow path of decoding (`convert.py`), and what `to_dict` and `from_dict` stand on. Both
directions are in one file, over 500 lines, because a new kind of field needs its hook in both.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache, partial
from inspect import signature
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
import msgspec

from pinwheel_async import errors
from pinwheel_async._core import scalars
from pinwheel_async._core.fields import Timestamp, Year, attributes, is_list, is_object, wire_name
from pinwheel_async._core.parse import parse_exactly
from pinwheel_async._core.scalars import Diagnostics
from pinwheel_async._privacy import Discreet, without_locals
from pinwheel_async.errors import DecodeError, PinwheelError

if TYPE_CHECKING:
    from typing import Self

    from cattrs import Converter

Hook = Callable[[Any, Any], Any]

_READERS: tuple[tuple[type, Hook], ...] = (
    (str, scalars.read_text),
    (bool, scalars.read_bool),
    (int, scalars.read_int),
    (float, scalars.read_float),
    (Decimal, scalars.read_decimal),
    (date, scalars.read_date),
    (datetime, scalars.read_datetime),
)

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Serializable(Discreet):
    """Base of what can be turned into plain values and back: models, events, pages, reports."""

    __slots__ = ()

    @without_locals
    def to_dict(self) -> dict[str, Any]:
        """Return every value as JSON-ready plain values: wire names, RFC 3339 moments, ISO days, null for None.

        The values are the payroll data itself: they belong in a store or a cache of yours, and in no log.
        """
        return cast("dict[str, Any]", default_converter().unstructure(self))

    @without_locals
    def to_json(self) -> str:
        """Return the same as one line of JSON, decimals digit for digit."""
        return encode(self, nulls=True).decode()

    @classmethod
    @without_locals
    def from_dict(cls, document: Mapping[str, Any]) -> "Self":
        """Read what `to_dict` gave, or what the API said: unknown keys are ignored, unknown enum values kept.

        Raises:
            DecodeError: A value is of the wrong type; it names the path, never the value.
        """
        return default_converter().structure(document, cls)

    @classmethod
    @without_locals
    def from_json(cls, text: str | bytes) -> "Self":
        """Read what `to_json` gave, or what the API said; numbers are read exactly.

        Raises:
            DecodeError: It is no JSON, or a value is of the wrong type; it names the path, never the value.
        """
        body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        document, problem = parse_exactly(body)
        if problem is not None:
            raise DecodeError(where=cls.__name__, paths=[problem])
        return cls.from_dict(document)

    def _to_document(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object of plain *fields*, for a class whose JSON is more than its fields."""
        return fields

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> "tuple[type[Serializable], Any, str] | str":
        """Return the class to build, its fields, and the place of these in the document; or why there are none."""
        return cls, document, ""


def structure(payload: Any, kind: type[Any], diagnostics: Diagnostics, place: str | int | None = None) -> Any:
    """Read one object that stands at *place*; what cannot be read is noted in *diagnostics*.

    Raises:
        StopReading: There are too many problems, or values, to go on.
        RecursionError: It is nested too deeply.
    """
    token = scalars.current.set(diagnostics)
    if place is not None:
        diagnostics.path.append(place)
    try:
        return default_converter().get_structure_hook(kind)(payload, kind)
    finally:
        if place is not None:
            diagnostics.path.pop()
        scalars.current.reset(token)


def encode(value: Any, *, nulls: bool = False) -> bytes:
    """Encode a model as JSON, decimals digit for digit; None is left out of objects, or written as null if *nulls*."""
    return _ENCODER.encode(_wire_converter(nulls).unstructure(value))


def rfc3339(moment: datetime) -> bytes:
    """Write an aware moment as on the wire: with its fraction only if it has one, and with Z for UTC."""
    return _ENCODER.encode(moment)[1:-1]


@cache
def default_converter() -> "Converter":
    """Return the converter that this library itself uses; it has our hooks and no others."""
    return make_converter()


def make_converter() -> "Converter":
    """Return a new `cattrs.Converter` for models, events, Link events, snapshots, pages and reports.

    `unstructure` gives JSON-ready plain values. `structure` reads them back to equal objects, as exactly as an answer
    of the API is read: unknown fields are ignored, unknown enum values are kept, null is never the text "None", and a
    value of the wrong type is a `DecodeError` that names the path, never the value. That holds for the models inside
    your own classes, too. Register your own hooks on it; each call makes another converter.

    Decimals become numbers where a float holds every digit of them, and text where none does; both are read back
    exactly. An error inside a snapshot or a report becomes its class and facts, without what the server wrote for
    humans; it comes back as an error of the same class, text and facts (exceptions are equal only to themselves).
    """
    return _converter(nulls=True, decimals=_plain_decimal)


@cache
def _wire_converter(nulls: bool) -> "Converter":
    """Return a converter whose plain values keep decimals as they are, for an encoder that writes them exactly."""
    return _converter(nulls=nulls, decimals=_same)


def _converter(*, nulls: bool, decimals: Callable[[Decimal], Any]) -> "Converter":
    # Imported here, because cattrs takes 25 ms, and most processes never meet an odd answer.
    from cattrs import Converter  # noqa: PLC0415

    class PinwheelConverter(Converter):
        """A converter whose outermost call collects what is wrong, and raises it at once."""

        @without_locals
        def structure(self, obj: Any, cl: Any) -> Any:
            if scalars.current.get(None) is not None:  # called by a hook: the outermost call raises
                return super().structure(obj, cl)
            diagnostics = Diagnostics()
            token = scalars.current.set(diagnostics)
            found: Any = None
            try:
                found = super().structure(obj, cl)
            except scalars.StopReading:
                pass
            except RecursionError:
                diagnostics.problems.append("(body): nested too deeply")
            except Exception:
                if not diagnostics.problems:  # otherwise a class could not be built of what was refused
                    raise
            finally:
                scalars.current.reset(token)
            if diagnostics.problems:
                raise DecodeError(where=getattr(cl, "__name__", None) or str(cl), paths=diagnostics.problems)
            return found

    # Without detailed validation, because its errors carry the values; ours carry the path.
    converter = PinwheelConverter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
    converter.register_structure_hook_factory(_is_serializable, partial(_object_hook, converter))
    converter.register_unstructure_hook_factory(_is_serializable, partial(_writer, converter, nulls))
    for kind, reader in _READERS:
        converter.register_structure_hook(kind, reader)
    converter.register_structure_hook_func(lambda kind: kind is Year, scalars.read_year)
    converter.register_structure_hook(PinwheelError, read_error)
    converter.register_unstructure_hook(PinwheelError, _error_facts)
    converter.register_unstructure_hook(msgspec.Struct, partial(_struct_fields, converter))
    converter.register_unstructure_hook(Decimal, decimals)
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_unstructure_hook(datetime, lambda moment: rfc3339(moment).decode())
    return converter


def _is_serializable(kind: Any) -> bool:
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, Serializable)


def _struct_fields(converter: "Converter", struct: msgspec.Struct) -> dict[str, Any]:
    """Return what a model would give of which this is the struct."""
    values = msgspec.structs.astuple(struct)
    return {
        name: converter.unstructure(value) for name, value in zip(struct.__struct_encode_fields__, values, strict=True)
    }


def _same(value: Any) -> Any:
    return value


def _plain_decimal(number: Decimal) -> int | float | str:
    """Return a number that JSON knows if it is the same number, or text that is."""
    if number == number.to_integral_value() and abs(number) < 2**53:
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else str(number)


def _writer(converter: "Converter", nulls: bool, kind: Any) -> Callable[[Any], dict[str, Any]]:
    """Return what unstructures a class: generated code for its fields, then what the class makes of them."""
    from cattrs.gen import make_dict_unstructure_fn, override  # noqa: PLC0415

    origin = get_origin(kind) or kind
    overrides: Any = {
        attribute.name: override(rename=wire_name(attribute), unstruct_hook=_plain_hook(attribute.type, converter))
        for attribute in attributes(origin)
    }
    fields_of = make_dict_unstructure_fn(kind, converter, **overrides)
    is_whole = not _overrides(origin, "_to_document")
    if is_whole and nulls and not origin.__subclasses__():
        return fields_of

    def write(value: Any) -> dict[str, Any]:
        if type(value) is not origin:  # declared as its base class, as an `Event` of another class is
            return cast("dict[str, Any]", converter.unstructure(value))
        fields = fields_of(value)
        if not nulls:
            fields = {name: field for name, field in fields.items() if field is not None}
        return fields if is_whole else value._to_document(fields)  # noqa: SLF001  # ours

    return write


def _plain_hook(kind: Any, converter: "Converter") -> Callable[[Any], Any]:
    """Return what unstructures a field, or None: the API may say null where its documentation says never."""
    from cattrs.fns import identity  # noqa: PLC0415  # see `_converter`

    origin = get_origin(kind)
    if origin is tuple:
        item = _plain_hook(get_args(kind)[0], converter)
        return lambda items: None if items is None else [item(element) for element in items]
    if origin is dict or origin is Mapping:
        inner = _plain_hook(get_args(kind)[1], converter)
        return lambda values: None if values is None else {key: inner(element) for key, element in values.items()}
    members = [member for member in get_args(kind) if member is not NoneType]
    if origin is Literal or (origin in {Union, UnionType} and all(_is_text(member) for member in members)):
        return _plain_hook(str, converter)
    if origin in {Union, UnionType} and len(members) == 1:
        return _plain_hook(members[0], converter)
    if _is_serializable(kind):
        hook = converter.get_unstructure_hook(kind)
    elif kind == Timestamp or kind in {known for known, _ in _READERS} or hasattr(kind, "__supertype__"):
        hook = converter.get_unstructure_hook(datetime if kind == Timestamp else kind)
    else:
        return converter.unstructure  # by the class of the value, which may be one of several
    return hook if hook is identity else lambda value: None if value is None else hook(value)


def _overrides(kind: type, method: str) -> bool:
    return next(base for base in kind.__mro__ if method in vars(base)) is not Serializable


def _is_text(kind: Any) -> bool:
    return kind is str or get_origin(kind) is Literal


def _hook_of(kind: Any, converter: "Converter") -> Hook:  # noqa: PLR0911  # one line for each kind of type
    """Choose the hook of a field's type.

    Raises:
        TypeError: No hook is exact for it; a model must not have such a field.
    """
    if kind is Any:
        return scalars.read_any
    if kind == Timestamp:
        return converter.get_structure_hook(datetime)
    if hasattr(kind, "__supertype__"):
        return converter.get_structure_hook(kind if kind is Year else kind.__supertype__)
    origin = get_origin(kind)
    if origin is Literal:  # an enum is an open list: whatever text comes is kept
        return converter.get_structure_hook(str)
    if origin is tuple:
        return _tuple_hook(get_args(kind)[0], converter)
    if origin is dict or origin is Mapping:
        return _mapping_hook(get_args(kind)[1], converter)
    if origin is Union or origin is UnionType:
        return _union_hook(kind, converter)
    if isinstance(kind, TypeVar):
        raise TypeError("a generic class needs its argument: structure(document, Page[Paystub])")
    if _is_serializable(kind) or kind is PinwheelError or kind in {known for known, _ in _READERS}:
        return converter.get_structure_hook(kind)
    raise TypeError(f"no exact hook for {kind}")


def _object_hook(converter: "Converter", kind: Any) -> Hook:
    """Return what reads a class; its JSON may be more than its fields, such as an event inside its envelope."""
    origin = get_origin(kind) or kind
    read = _fields_reader(kind, converter)
    if not _overrides(origin, "_from_document"):
        return lambda value, _: read(value)
    readers = {origin: read}

    def read_document(value: Any, _: Any) -> Any:
        diagnostics = scalars.current.get()
        if not is_object(value):
            return diagnostics.refuse("not an object")
        found = origin._from_document(value)  # noqa: SLF001  # ours
        if isinstance(found, str):
            return diagnostics.refuse(found)
        chosen, fields, place = found
        if chosen not in readers:
            readers[chosen] = _fields_reader(chosen, converter)
        if not place:
            return readers[chosen](fields)
        diagnostics.path.append(place)
        built = readers[chosen](fields)
        diagnostics.path.pop()
        return built

    return read_document


def _fields_reader(kind: Any, converter: "Converter") -> Callable[[Any], Any]:
    origin = get_origin(kind) or kind
    arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    fields = [
        (wire_name(field), field.name, _field_hook(field, arguments, converter), *null_of(field.type))
        for field in attributes(origin)
    ]
    required = _required(origin)

    def read(value: Any) -> Any:
        diagnostics = scalars.current.get()
        if not is_object(value):
            return diagnostics.refuse("not an object")
        if required and required.isdisjoint(value):
            return diagnostics.refuse("an object without any of the documented fields")
        found: dict[str, Any] = {}
        diagnostics.count(len(fields))
        for wire, name, hook, nullable, null in fields:
            diagnostics.path.append(wire)
            if wire not in value:
                if wire in required:
                    found[name] = null
                    diagnostics.note_drift("missing")
            elif value[wire] is not None:
                found[name] = hook(value[wire], value)
            else:
                found[name] = null
                if not nullable:
                    diagnostics.note_drift("null")
            diagnostics.path.pop()
        return origin(**found)

    return read


def field_hook(attribute: "attrs.Attribute[Any]") -> Hook:
    """Return what reads the value of a field of a model, given the object around it, too."""
    return _field_hook(attribute, {}, default_converter())


def _field_hook(attribute: "attrs.Attribute[Any]", arguments: dict[Any, Any], converter: "Converter") -> Hook:
    """Return what reads a field, given its value and the object around it.

    A field that may hold one of several classes says in its metadata by which sibling to choose (`by`), and which
    value of it means which class (`classes`); what has no class stays as it came. Or it gives the classes
    (`by_keys`), the one with most fields first: the first whose keys are all there is taken.
    """
    by: str | None = attribute.metadata.get("by")
    if "by_keys" in attribute.metadata:
        return _by_keys_hook(attribute.metadata["by_keys"], converter)
    if by is None:
        return _hook_of(_resolved(attribute.type, arguments), converter)
    classes: Mapping[str, type[Serializable]] = attribute.metadata["classes"]
    hooks: dict[Any, Hook] = {name: converter.get_structure_hook(kind) for name, kind in classes.items()}

    def read(value: Any, around: dict[str, Any]) -> Any:
        chosen = around.get(by)
        hook = hooks.get(chosen) if isinstance(chosen, str) else None
        return hook(value, None) if hook else _read_object(value)

    return read


def _by_keys_hook(classes: tuple[type[Serializable], ...], converter: "Converter") -> Hook:
    keys = [(frozenset(map(wire_name, attributes(kind))), converter.get_structure_hook(kind)) for kind in classes]

    def read(value: Any, _: Any) -> Any:
        present = value.keys() if is_object(value) else frozenset[str]()
        hook = next((hook for wanted, hook in keys if wanted <= present), keys[-1][1])
        return hook(value, None)

    return read


def _resolved(kind: Any, arguments: dict[Any, Any]) -> Any:
    """Return the type of a field of a generic class, with the class's arguments in place of its parameters."""
    if kind in arguments:
        return arguments[kind]
    inner = getattr(kind, "__parameters__", ())
    return kind[tuple([arguments.get(parameter, parameter) for parameter in inner])] if inner else kind


def _read_object(value: Any) -> Any:
    return scalars.read_any(value) if is_object(value) else scalars.current.get().refuse("not an object")


def _required(kind: Any) -> frozenset[str]:
    return frozenset(wire_name(field) for field in attributes(kind) if field.default is attrs.NOTHING)


def null_of(kind: Any) -> tuple[bool, Any]:
    """Return whether a field may be null, and what null becomes: a list that is never null becomes an empty one."""
    nullable = kind is Any or NoneType in get_args(kind)
    return nullable, () if get_origin(kind) is tuple and not nullable else None


def _union_hook(kind: Any, converter: "Converter") -> Hook:
    members = [member for member in get_args(kind) if member is not NoneType]
    # An enum is an open list: whatever text comes is kept.
    members = [member for member in members if get_origin(member) is not Literal] or [str]
    if set(members) == {int, float, str}:
        return scalars.read_number_or_text
    if PinwheelError in members:
        return _or_error_hook([member for member in members if member is not PinwheelError], converter)
    if len(members) > 1:
        raise TypeError(f"{kind} needs metadata that says how to choose")
    hook = _hook_of(members[0], converter)
    if _is_serializable(members[0]) and _required(members[0]):
        return lambda value, around: _read_blank() if value == {} else hook(value, around)
    return hook


def _read_blank() -> None:
    """Read an empty object, where an object may be missing, as null."""
    scalars.current.get().note_drift("blank for null")


def _or_error_hook(members: list[Any], converter: "Converter") -> Hook:
    """Return what reads a value, or the error that stands in its place."""
    hook = _hook_of(members[0], converter)

    def read(value: Any, around: Any) -> Any:
        is_error = is_object(value) and isinstance(value.get("error"), str) and "message" in value
        return read_error(value, None) if is_error else hook(value, around)

    return read


def _tuple_hook(item: Any, converter: "Converter") -> Hook:
    hook = _hook_of(item, converter)

    def read(value: Any, _: Any) -> Any:
        diagnostics = scalars.current.get()
        if not is_list(value):
            return diagnostics.refuse("not a list")
        diagnostics.count(len(value))
        items: list[Any] = []
        for index, element in enumerate(value):
            diagnostics.path.append(index)
            if element is None:
                diagnostics.note_drift("null")
            items.append(None if element is None else hook(element, item))
            diagnostics.path.pop()
        return tuple(items)

    return read


def _mapping_hook(inner: Any, converter: "Converter") -> Hook:
    hook = _hook_of(inner, converter)

    def read(value: Any, _: Any) -> Any:
        if not is_object(value):
            return scalars.current.get().refuse("not an object")
        scalars.current.get().count(len(value))
        return {
            scalars.read_text(key): None if element is None else hook(element, inner) for key, element in value.items()
        }

    return read


_FACTS = (
    *("endpoint", "status", "type", "code", "request_id", "retry_after_s", "reason", "attempts", "sent", "where"),
    *("paths", "pages", "problems", "wait_s", "unsent"),
)
"""Attributes of errors that hold no value of an answer: a class, a place, a count."""

_LISTS = frozenset({"paths", "problems"})


def _error_facts(error: PinwheelError) -> dict[str, Any]:
    """Return the class, the text and the facts of an error, without what the server wrote for humans."""
    known = {name: fact for name, fact in errors.storable_state(error).items() if name in _FACTS and fact is not None}
    facts = {name: [*known[name]] if name in _LISTS else known[name] for name in known}
    return {"error": type(error).__name__, "message": str(error), **facts}


def read_error(value: Any, _: Any) -> Any:
    """Read an error that `unstructure` wrote; a class that is not known gives a `PinwheelError`."""
    diagnostics = scalars.current.get()
    if not is_object(value) or not isinstance(value.get("message"), str):
        return diagnostics.refuse("not an error")
    kind = getattr(errors, str(value.get("error")), PinwheelError)
    if not (isinstance(kind, type) and issubclass(kind, PinwheelError)) or issubclass(kind, ExceptionGroup):
        kind = PinwheelError
    error = kind.__new__(kind)
    error.args = (value["message"],)
    facts = {name: value.get(name) for name in _facts_of(kind)}
    facts |= {name: tuple(fact) if is_list(fact) else () for name, fact in facts.items() if name in _LISTS}
    error.__dict__.update({**_unwritten(kind), **facts})
    return error


@cache
def _facts_of(kind: type[PinwheelError]) -> tuple[str, ...]:
    """Return the facts that an error of a class has, whether its document names them or not."""
    known = {name for base in kind.__mro__ if issubclass(base, PinwheelError) for name in signature(base).parameters}
    return tuple([name for name in _FACTS if name in known])


def _unwritten(kind: type[PinwheelError]) -> dict[str, Any]:
    """Return the attributes of an error that is no document's: what the server wrote, and its answer."""
    if issubclass(kind, errors.ApiError):
        return {"server_message": None, "details": (), "response": None}
    return {"response": None} if issubclass(kind, DecodeError) else {}
