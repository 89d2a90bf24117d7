"""Values of models: frozen, compared by value, with a safe repr."""

import attrs
import msgspec
import pytest

from pinwheel_async import models
from pinwheel_async.models.end_user_document import PARSED_DATA

ACCOUNT_ID = "0a1b2c3d-0000-4000-8000-00000000000a"
JOB = {
    "id": ACCOUNT_ID,
    "name": "paystubs",
    "timestamp": "2026-01-31T10:20:30+00:00",
    "outcome": "success",
    "link_token_id": ACCOUNT_ID,
}


def test_unknown_enum_value_is_kept():
    """A job name that the library does not know stays as it is."""
    assert msgspec.convert(JOB | {"name": "moon_landing"}, type=models.Job).name == "moon_landing"


def test_models_are_frozen():
    """A model cannot be changed."""
    job = msgspec.convert(JOB, type=models.Job)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        job.outcome = "error"


def test_models_are_compared_by_value():
    """Two models with the same values are equal and have the same hash."""
    job, same = msgspec.convert(JOB, type=models.Job), msgspec.convert(JOB, type=models.Job)

    assert job == same
    assert hash(job) == hash(same)


def test_repr_names_the_object():
    """The repr of a model has its id, so that logs can name it."""
    assert f"<Job id={ACCOUNT_ID}>" == repr(msgspec.convert(JOB, type=models.Job))


def test_empty_link_token_allocation():
    """An allocation can be made from nothing: the user then chooses, among no preset accounts."""
    assert models.LinkTokenAllocation() == models.LinkTokenAllocation(type=None, value=None, targets=())


@pytest.mark.parametrize(
    ("meta", "base"),
    [
        ("PaginationMeta", "ListMeta"),
        ("RefreshablePaginationMeta", "PaginationMeta"),
        ("FreshnessPaginationMeta", "RefreshablePaginationMeta"),
        ("TaxForm", "TaxFormSummary"),
        ("VerificationReportIncomeAndEmployment", "VerificationReportEmployment"),
    ],
)
def test_hierarchy(meta, base):
    """Code that takes the smaller shape takes the larger one, too."""
    assert issubclass(getattr(models, meta), getattr(models, base))


def test_parsed_data_names_every_class_of_the_union():
    """`PARSED_DATA` has each class that `EndUserDocument.parsed_data` may hold."""
    hint = attrs.resolve_types(models.EndUserDocument).__annotations__["parsed_data"]

    assert set(PARSED_DATA.values()) == {member for member in hint.__args__ if attrs.has(member)}


def test_parsed_data_keys_are_document_types():
    """Each key of `PARSED_DATA` is a document type."""
    assert set(PARSED_DATA) <= set(models.DocumentType.__args__)


def test_w2_and_w_2_are_two_shapes():
    """`W-2` and `w2` are two document types with two shapes."""
    assert (models.TaxFormW2, models.UploadedW2) == (PARSED_DATA["W-2"], PARSED_DATA["w2"])
