"""Derived classes: what msgspec fills in place of a model.

A struct replaces a model for code that only reads values, such as a database sink. It has the attributes of its model
with the same exact types, and its repr shows as little. msgspec makes it several times faster than a class of attrs,
and the garbage collector does not track it: pages that wait to be stored cost their memory and no collections. It is no
`Model`, has none of its model's methods, and never reaches a user.

A builder becomes a model: msgspec fills it, it does what msgspec cannot, and turns itself into the model, whose layout
it has. So an answer that is odd in known places is read as fast as any other: at a place where the API was odd before,
the builder takes whatever comes, and afterwards the exact readers of the slow path look at it, at one place of all
objects after the other. Measured for a page of 20 paystubs with a null in each, where the documentation knows none: 1.1
to 1.2 times as long as for a clean page; 8 times by the slow path.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from itertools import chain
from operator import attrgetter, methodcaller
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin

import attrs
import msgspec

from pinwheel_async._core.converter import Hook, field_hook, null_of
from pinwheel_async._core.fields import Timestamp, attributes, wire_name
from pinwheel_async._core.model import Model
from pinwheel_async._core.scalars import Diagnostics
from pinwheel_async._privacy import described, ids_of

UNPACKABLE = (OverflowError, UnicodeError, ValueError, TypeError)
"""What `pack` raises where it cannot, and what unpacking raises where it does not understand."""


class StructModel(msgspec.Struct):
    """Base of the structs."""

    def __repr__(self) -> str:
        """Return the class name and the ids, as a model does."""
        return described(self, ids_of(self))

    def __rich_repr__(self) -> Any:
        """Show the same in rich, where msgspec would show every field."""
        return list(ids_of(self))


@cache
def struct_of(kind: Any) -> Any:
    """Return a type with every model in it replaced by its struct."""
    if isinstance(kind, type) and attrs.has(kind):
        return _struct(cast("type[Model]", kind))
    arguments = tuple([struct_of(argument) for argument in get_args(kind)])
    origin = get_origin(kind)
    if arguments == get_args(kind):
        return kind
    return Union[arguments] if origin in {Union, UnionType} else cast("Any", origin)[arguments]  # noqa: UP007


def attribute_names(kind: type[Model | StructModel]) -> tuple[str, ...]:
    """Return the names of the attributes of a model, or of its struct: the same ones."""
    if issubclass(kind, Model):
        return tuple([attribute.name for attribute in attributes(kind)])
    return kind.__struct_fields__


@cache
def json_struct_of(model: Any) -> Any:
    """Return the struct of a model that holds, in `kept_json`, the JSON that it came as, too."""
    # No answer has a field of this name; whatever came under it would be replaced.
    kept = (KEPT_JSON, bytes, msgspec.field(name="(json)", default=b""))
    return msgspec.defstruct(
        model.__name__, [kept], bases=(struct_of(model),), module=__name__, frozen=True, gc=False, kw_only=True
    )


KEPT_JSON: Final = "kept_json"
"""Attribute of a struct that holds the JSON that it came as."""


def kept_json(item: Model | StructModel) -> bytes | None:
    """Return the JSON that an object came as; None if it does not hold that."""
    return getattr(item, KEPT_JSON, None)


def keep_json(item: StructModel, json: bytes) -> StructModel:
    """Let a struct of `json_struct_of` hold the JSON that it came as."""
    msgspec.structs.force_setattr(item, KEPT_JSON, json)
    return item


def without_json(item: StructModel) -> StructModel:
    """Return the struct with the values of one of `json_struct_of`, without the JSON that it came as."""
    plain = type(item).__base__
    assert plain is not None  # noqa: S101  # it is what the other was made of
    return cast("StructModel", plain(**{name: getattr(item, name) for name in attribute_names(cast("Any", plain))}))


def json_struct(model: Model, json: bytes) -> StructModel:
    """Return the struct with the values of a model, and the JSON that it came as."""
    return cast("StructModel", json_struct_of(cast("Any", type(model)))(**_struct_values(model), kept_json=json))


def _struct_values(model: Model) -> dict[str, Any]:
    return {attribute.name: _as_structs(getattr(model, attribute.name)) for attribute in attributes(type(model))}


def _as_structs(value: Any) -> Any:
    if isinstance(value, Model):
        return struct_of(cast("Any", type(value)))(**_struct_values(value))
    return tuple([_as_structs(item) for item in cast("Any", value)]) if isinstance(value, tuple) else value


def without(item: StructModel, place: str, *names: str) -> StructModel:
    """Return a struct with some fields null in the struct that one of its fields holds, if it holds one."""
    inner = getattr(item, place, None)
    if not isinstance(inner, StructModel):
        return item
    return msgspec.structs.replace(item, **{place: msgspec.structs.replace(inner, **dict.fromkeys(names))})


def struct_json(item: StructModel) -> bytes:
    """Encode a struct as JSON: the same bytes as for its model, nulls included."""
    return msgspec.json.encode(item)


def pack(value: Any) -> bytes:
    """Pack structs, and plain values around them, for another process of this library; moments in UTC."""
    return msgspec.msgpack.encode(value)


@cache
def unpacker(kind: Any) -> Callable[[bytes], Any]:
    """Return what unpacks values of a type."""
    return msgspec.msgpack.Decoder(kind).decode


def _struct(model: type[Model]) -> type[StructModel]:
    fields = [
        (attribute.name, struct_of(cast("Any", attribute.type)), _field(attribute)) for attribute in attributes(model)
    ]
    # gc=False: what is decoded holds no cycles, which are all that the garbage collector would have to find.
    decimals = tuple(_decimals(model))
    namespace = {"__post_init__": _checker(decimals)} if decimals else {}
    made = msgspec.defstruct(
        model.__name__,
        fields,
        bases=(StructModel,),
        module=__name__,
        namespace=namespace,
        frozen=True,
        gc=False,
        kw_only=True,
    )
    return cast("type[StructModel]", made)


def _field(attribute: "attrs.Attribute[Any]") -> Any:
    name, default = wire_name(attribute), cast("Any", attribute.default)
    if default is attrs.NOTHING:
        return msgspec.field(name=name)
    if isinstance(default, cast("Any", attrs.Factory)):
        return msgspec.field(name=name, default_factory=default.factory)
    return msgspec.field(name=name, default=default)


def builder_of(kind: Any, odd: Collection[str] = (), place: str = "") -> Any:
    """Return a type with its models replaced by their builders, where msgspec needs one; it may be the same type.

    Building raises `ValueError` for what the slow path has to look at. At *odd* places it takes whatever comes:
    `repair_of` has to look at that afterwards.

    Args:
        kind: The type.
        odd: Places where the API was odd before, such as `.taxes[].name`; those that it has not are ignored.
        place: Place of the type itself.
    """
    if isinstance(kind, type) and attrs.has(kind):
        return _builder(cast("type[Model]", kind), odd, place)
    origin = get_origin(kind)
    arguments = tuple(
        [builder_of(argument, odd, f"{place}[]" if origin is tuple else place) for argument in get_args(kind)]
    )
    if arguments == get_args(kind):
        return kind
    return Union[arguments] if origin in {Union, UnionType} else cast("Any", origin)[arguments]  # noqa: UP007


def _builder(model: type[Model], odd: Collection[str], place: str) -> type[Model]:
    """Make the builder of a model; if it would do nothing, return the model."""
    fields: list[attrs.Attribute[Any]] = []
    types: dict[str, Any] = {}
    for attribute in attributes(model):
        wire = wire_name(attribute)
        inner = f"{place}.{wire}"
        types[wire] = builder_of(attribute.type, odd, inner)
        odd_field = _odd_field(attribute, inner) if inner in odd else None
        if not hasattr(model, wire):
            raise TypeError(f"{model.__name__} needs json_names, or msgspec would not find its fields")
        if odd_field is not None:
            types[wire] = (types[wire] | None) if odd_field.is_container else Any
            fields.append(attribute.evolve(name=wire, default=_MISSING if odd_field.is_required else attribute.default))
        else:
            fields.append(attribute if attribute.name == wire else attribute.evolve(name=wire))
    decimals = tuple(_decimals(model))
    unchanged = all(types[wire_name(attribute)] == attribute.type for attribute in attributes(model))
    if unchanged and not decimals:
        return model
    namespace = {
        "__slots__": (),
        "__module__": __name__,
        "__qualname__": model.__qualname__,
        "__annotations__": types,
        "__attrs_attrs__": tuple(fields),
        "__setattr__": object.__setattr__,  # a builder is not frozen yet
        "__attrs_post_init__": _finisher(model, decimals),
    }
    return cast("type[Model]", cast("Any", type(model))(model.__name__, (model,), namespace))


def _finisher(model: type[Model], decimals: tuple[str, ...]) -> Callable[[Any], None]:
    """Return what a builder does after it was filled."""
    # Called for each object of an answer, so it is not written in Python: that would take twice as long.
    become: Callable[[Any], None] = methodcaller("__setattr__", "__class__", model)
    if not decimals:
        return become
    check = _checker(decimals)

    def finish(builder: Any) -> None:
        check(builder)
        become(builder)

    return finish


def _decimals(model: type[Model]) -> Iterator[str]:
    """Yield the names of the fields that can hold a decimal number."""
    for attribute in attributes(model):
        if Decimal in (attribute.type, *get_args(attribute.type)):
            yield attribute.name


def _checker(decimals: tuple[str, ...]) -> Callable[[Any], None]:
    """Return what refuses an object with a decimal that is no number: msgspec takes the text "NaN" for one."""

    def check(value: Any) -> None:
        for name in decimals:
            number = getattr(value, name)
            if isinstance(number, Decimal) and not number.is_finite():
                raise ValueError("not a number")

    return check


Repair: TypeAlias = Callable[[Sequence[Any], Diagnostics], None]
"""Reads odd places of some models of one class, and notes what it forgives; a place is looked at in all of them before
the next one, as that takes a fifth of the time that a call for each model would take."""


def repair_of(model: type[Model], odd: Collection[str], place: str) -> Repair | None:
    """Return what reads the odd places of models that came of a builder; None if there are none.

    It raises `ValueError` for what the slow path has to look at, and `StopReading` for more values than the API sends.
    Diagnostics must be current.

    Args:
        model: The class.
        odd: Odd places, as for `builder_of`.
        place: Place of the models.
    """
    fields: list[_OddField] = []
    inner: list[tuple[Callable[[Any], Any], bool, Repair]] = []
    for attribute in attributes(model):
        below = f"{place}.{wire_name(attribute)}"
        if below in odd and (field := _odd_field(attribute, below)) is not None:
            fields.append(field)
        for item, is_list in _models_in(attribute.type):
            if (repair := repair_of(item, odd, f"{below}[]" if is_list else below)) is not None:
                inner.append((attrgetter(attribute.name), is_list, repair))
    if not (fields or inner):
        return None
    required = {wire_name(attribute) for attribute in attributes(model) if attribute.default is attrs.NOTHING}
    may_be_empty = bool(required) and required == {field.wire for field in fields if field.is_required}

    def repair_all(models: Sequence[Any], diagnostics: Diagnostics) -> None:
        diagnostics.count(len(models) * len(fields))  # so that a hostile page of empty objects comes to its end
        if may_be_empty and any(all(getattr(found, name) is _MISSING for name in required) for found in models):
            raise ValueError("an object without any of the documented fields")
        for field in fields:
            field.read(models, diagnostics)
        for get, is_list, repair in inner:
            values = [value for value in map(get, models) if value is not None]
            repair([*chain.from_iterable(values)] if is_list else values, diagnostics)

    return repair_all


def _looks_like_a_day(value: Any) -> bool:
    return type(value) is str and len(value) == 10


def _looks_like_a_moment(value: Any) -> bool:
    # Whatever msgspec takes has to look so, or the same moment would be read otherwise here: with Z, +01:00 or +0100.
    return type(value) is str and len(value) > 16 and (value[-1] in "Zz" or value[-6] in "+-" or value[-5] in "+-")


_MISSING: Final = object()
"""Default of a documented field that has none, at an odd place."""


@attrs.frozen(kw_only=True)
class _OddField:
    """Field at which the API was odd before: msgspec takes whatever comes, and this reads it as the slow path does."""

    wire: str
    place: str
    hook: Hook
    exact: Any
    """Type of a day or a moment, which most values are text of all the same; None for other fields."""
    looks_exact: Callable[[Any], bool]
    """Whether a value is probably of that type: to be told that it is not takes longer than to read it otherwise."""
    plain: frozenset[type]
    """Classes of the values that need no look; those of objects are models already."""
    takes_floats: bool
    is_container: bool
    """Whether it is a list or an object, which may be null or missing, and is read by msgspec otherwise."""
    is_required: bool
    is_nullable: bool
    null: Any

    def read(self, models: Sequence[Any], diagnostics: Diagnostics) -> None:
        """Read the values of some models, and put them there.

        Raises:
            ValueError: The slow path has to refuse one of them.
        """
        values = [*map(attrgetter(self.wire), models)]
        if self.exact is not None:
            self._convert(models, values)
        for model, value in zip(models, values, strict=True):
            if type(value) not in self.plain:
                # It is frozen, but nobody has seen it yet.
                object.__setattr__(model, self.wire, self._value(value, diagnostics))

    def _convert(self, models: Sequence[Any], values: list[Any]) -> None:
        """Convert the days or moments that are as documented, all at once."""
        places = [at for at, value in enumerate(values) if self.looks_exact(value)]
        try:
            converted: list[Any] = msgspec.convert([values[at] for at in places], cast("Any", list)[self.exact])
        except msgspec.ValidationError:
            return  # one is not: each is read alone
        for at, value in zip(places, converted, strict=True):
            values[at] = value
            object.__setattr__(models[at], self.wire, value)

    def _value(self, value: Any, diagnostics: Diagnostics) -> Any:
        """Return what a value that is not plain means."""
        if isinstance(value, float) and not self.takes_floats:
            raise ValueError("a number that may have been rounded")
        if value is _MISSING or value is None:
            if value is _MISSING or not self.is_nullable:
                diagnostics.drift[f"{self.place}: {'null' if value is None else 'missing'}"] = None
            return self.null
        if self.exact is not None and self.looks_exact(value):
            try:
                return msgspec.convert(value, self.exact)
            except msgspec.ValidationError:
                pass
        diagnostics.place = self.place
        found = self.hook(value, None)
        if diagnostics.problems:
            raise ValueError("refused")
        return found


def _odd_field(attribute: "attrs.Attribute[Any]", place: str) -> _OddField | None:
    """Return how to read a field whose value was odd; None if the slow path alone can."""
    kinds = _members(attribute.type)
    is_container = all(get_origin(kind) is tuple or _is_model(kind) for kind in kinds)
    exact = next((kind for kind in kinds if kind in {date, datetime, Timestamp}), None)
    is_scalar = exact is not None or all(map(_plain_class, kinds))
    if attribute.metadata.keys() & {"by", "by_keys"} or not (is_container or is_scalar):
        return None
    is_nullable, null = null_of(attribute.type)
    plain: list[type | None] = [*map(_plain_class, kinds), *([NoneType] if is_nullable else [])]
    if exact is not None:
        plain = [date if exact is date else datetime, *plain]
    if is_container:
        plain += [tuple if get_origin(kind) is tuple else kind for kind in kinds]
    return _OddField(
        wire=wire_name(attribute),
        place=place,
        hook=field_hook(attribute),
        exact=exact,
        looks_exact=_looks_like_a_day if exact is date else _looks_like_a_moment,
        plain=frozenset(filter(None, plain)),
        takes_floats=float in plain,
        is_container=is_container,
        is_required=attribute.default is attrs.NOTHING,
        is_nullable=is_nullable,
        null=null,
    )


def _members(kind: Any) -> list[Any]:
    """Return the types that a value may be of, but for null."""
    if get_origin(kind) not in {Union, UnionType}:
        return [kind]
    return [member for member in get_args(kind) if member is not NoneType]


def _models_in(kind: Any) -> Iterator[tuple[type[Model], bool]]:
    """Yield the models that a value may be, and whether it is a list of them."""
    for member in _members(kind):
        is_list = get_origin(member) is tuple
        item: Any = get_args(member)[0] if is_list else member
        if _is_model(item):
            yield item, is_list


def _plain_class(kind: Any) -> type | None:
    """Return the class that a value of a scalar type has in JSON; None if it is text that has to be read."""
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) is Literal:
        return str
    return kind if kind in {str, bool, int, float} else None


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and attrs.has(kind)
