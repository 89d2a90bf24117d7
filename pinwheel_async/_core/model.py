"""Base class of models: its repr names the object and never shows what it holds."""

from pinwheel_async._core.converter import Serializable


class Model(Serializable):
    """Base of everything the API says: its repr names the object and never shows what it holds.

    Payroll data must not reach logs by accident, so `repr()` and `str()` give the class and, where they have the form
    of a UUID, the ids; rich, structlog, IPython and pytest show the same. `model.to_dict()` gives every value to those
    who want them, and `from_dict` takes them back.
    """

    __slots__ = ()
