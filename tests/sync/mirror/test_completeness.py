"""Completeness check: what an event announces, and how that compares with what is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pinwheel_async.events import (
    Changed,
    IncomeAdded,
    PaystubsAdded,
    PaystubsDocumentsAdded,
    PaystubsFullySynced,
    PaystubsSevenDaysSynced,
    ShiftsAdded,
    ShiftsFullySynced,
    TaxFormsAdded,
)
from pinwheel_async.events.paystubs import PaystubsParams
from pinwheel_async.models import Job, JobParams
from pinwheel_async.sync import Announcement, Completeness
from pinwheel_async.sync._mirror.completeness import announcement_of, announcement_of_job, compare
from pinwheel_async.testing import make_event

START = datetime(2026, 1, 1, tzinfo=UTC)


def note(number: int, *added: str, gone: tuple[str, ...] = (), final: bool = False, late_s: int = 0) -> Announcement:
    """Make an announcement of a job that ended so many seconds after the start."""
    at = START + timedelta(seconds=number)
    return Announcement(
        event_id=f"event-{number}",
        event="paystubs.added",
        account_id="a",
        product="paystubs",
        announced_at=at,
        received_at=at + timedelta(seconds=late_s),
        added=added,
        deleted=gone,
        final=final,
    )


def judge(*notes: Announcement, held: str = "", verified_s: int | None = None) -> Completeness:
    """Compare with objects whose ids are letters."""
    verified_until = None if verified_s is None else START + timedelta(seconds=verified_s)
    return compare("a", "paystubs", notes, {*held}, verified_until)


def test_complete():
    """A list is complete when its end was announced, and everything that was announced is there."""
    found = judge(note(1, "a", "b"), note(2, "c", final=True), held="abcd")

    assert (3, 4, (), 1, True) == (found.announced, found.held, found.missing, found.unannounced, found.final)
    assert found.complete


def test_missing():
    """What was announced and is not there is missing, by id."""
    found = judge(note(1, "a", "b"), note(2, "c", final=True), held="b")

    assert ("a", "c") == found.missing
    assert not found.complete


def test_no_end():
    """A list whose end was not announced is not complete, though nothing is missing."""
    found = judge(note(1, "a"), held="a")

    assert not found.missing
    assert not found.complete


def test_deleted_later():
    """What was announced as deleted later is not missing."""
    assert judge(note(1, "a", "b"), note(2, gone=("a",), final=True), held="b").complete


def test_added_again():
    """What was deleted and added again, by the same event or a later one, has to be there."""
    assert ("a",) == judge(note(1, "a", gone=("a",), final=True)).missing
    assert ("a",) == judge(note(1, gone=("a",)), note(2, "a", final=True)).missing


def test_verified():
    """What was found once, and is gone now, was deleted at the source; what came after that is compared."""
    found = judge(note(1, "a"), note(5, "b", final=True), verified_s=2)

    assert ("b",) == found.missing


def test_verified_and_deleted():
    """What a verified announcement added and a later one deleted is not missing."""
    assert judge(note(1, "a"), note(5, "b", gone=("a",), final=True), held="b", verified_s=2).complete


def test_deleted_before_it_came():
    """What arrived after its own deletion is not missing."""
    assert judge(note(1, "a", late_s=9), note(5, gone=("a",), final=True), verified_s=5).complete


def test_another_session():
    """The end of an earlier session is not the end of a later one."""
    assert not judge(note(1, "a", final=True), note(2, "b"), held="ab").final


def test_end_that_overtook():
    """An end that arrived before the last batch, whose time it repeats, is the end."""
    assert judge(note(1, "a"), note(1, final=True), held="a").final


def test_repr():
    """An entry shows counts, and not hundreds of ids."""
    assert "missing" not in repr(judge(note(1, "a")))


def announced(event: Any) -> Announcement | None:
    """Return what an event says that was received at the start."""
    return announcement_of(event, event_id=event.event_id, received_at=START)


def test_batch():
    """A batch is announced with its ids, its count and the end of its job."""
    event = make_event(PaystubsAdded, deleted=(Changed(id="gone"),))
    found = announced(event)

    assert found == Announcement(
        event_id=event.event_id,
        event="paystubs.added",
        account_id=event.account_id,
        product="paystubs",
        announced_at=event.timestamp,
        received_at=START,
        count=4,
        added=tuple([change.id for change in event.added]),
        deleted=("gone",),
        final=True,
    )


@pytest.mark.parametrize("empty", [None, Changed(id=cast("Any", None))])
def test_nulls_among_the_ids(empty: Any):
    """What has no id names no object; the others count."""
    found = announced(make_event(PaystubsAdded, added=(empty, Changed(id="a")), deleted=(empty,)))

    assert found is not None
    assert (("a",), ()) == (found.added, found.deleted)


@pytest.mark.parametrize(("status", "final"), [("in_progress", False), ("complete", True), (None, True)])
def test_end_of_batches(status, final):
    """A batch is the end unless it says that there are more to come; the oldest ones say nothing."""
    found = announced(make_event(PaystubsAdded, params=PaystubsParams(sync_status=status)))

    assert found is not None
    assert final == found.final


@pytest.mark.parametrize(
    ("kind", "product", "ids"),
    [
        (PaystubsFullySynced, "paystubs", 0),
        (ShiftsFullySynced, "shifts", 0),
        (ShiftsAdded, "shifts", 2),
        (TaxFormsAdded, "tax_forms", 1),
    ],
)
def test_end(kind, product, ids):
    """Each list has its end, and batches have their ids."""
    found = announced(make_event(kind, params=None))

    assert found is not None
    assert (product, ids, True, None) == (found.product, len(found.added), found.final, found.count)


@pytest.mark.parametrize("kind", [PaystubsSevenDaysSynced, PaystubsDocumentsAdded, IncomeAdded])
def test_nothing_announced(kind):
    """Events of days that are synced, documents, and what is no list announce nothing that could be compared."""
    assert announced(make_event(kind)) is None


def job(**fields: Any) -> Job:
    """Make a listed job that was the end of the paystubs."""
    params = JobParams(count=3, sync_status="complete")
    return Job(
        **{
            "id": "job-1",
            "name": "paystubs",
            "timestamp": START,
            "outcome": "success",
            "link_token_id": "token",
            "params": params,
            "account_id": "a",
            **fields,
        }
    )


def test_job():
    """A job that was the last one of a list says so, without ids."""
    found = announcement_of_job(job(), received_at=START)

    assert found is not None
    assert ("job job-1", "paystubs", 3, (), True) == (
        found.event_id,
        found.product,
        found.count,
        found.added,
        found.final,
    )


def test_job_of_tax_forms():
    """A job for tax forms is the end of them, whatever it says."""
    found = announcement_of_job(job(name="tax_forms", params=None), received_at=START)

    assert found is not None
    assert found.final


@pytest.mark.parametrize(
    "fields",
    [
        {"params": JobParams(sync_status="in_progress")},
        {"params": None},
        {"outcome": "error"},
        {"account_id": None},
        {"name": "income"},
    ],
)
def test_job_that_says_nothing(fields):
    """A job that is not the end of a list says nothing."""
    assert announcement_of_job(job(**fields), received_at=START) is None
