"""State: the readiness that follows from events, in whatever order they come."""

import pickle
from datetime import timedelta

import pytest
from hypothesis import given, settings, strategies as st

from pinwheel_async.errors import PinwheelError
from pinwheel_async.events import decode_event
from pinwheel_async.products import PRODUCTS
from pinwheel_async.webhooks._readiness.history import Notes, remember
from pinwheel_async.webhooks._readiness.readiness import Readiness
from pinwheel_async.webhooks._readiness.state import NotReadyError, expected, readiness_of

from .bodies import ACCOUNT, T0, added, connection, job, made


def remembered(bodies):
    history = None
    for body in bodies:
        event = decode_event(body).event
        assert event is not None
        history = remember(history, event, T0)
    return history


def read(bodies, wanted=PRODUCTS, supported=None):
    return readiness_of(ACCOUNT, remembered(bodies), None, wanted=tuple(wanted), supported=supported)


def status(*bodies, product="paystubs"):
    return read(bodies).products[product].status


@pytest.mark.parametrize(
    ("expected_status", "bodies"),
    [
        ("waiting", []),
        ("waiting", [added()]),
        ("in_progress", [job("paystubs.added", sync_status="in_progress")]),
        ("in_progress", [job("paystubs.added")]),
        ("in_progress", [job("paystubs.ninety_days_synced")]),
        ("succeeded", [job("paystubs.added", sync_status="complete")]),
        ("succeeded", [job("paystubs.fully_synced")]),
        ("failed", [job("paystubs.added", 1, "error")]),
        ("failed", [job("paystubs.added", 1, sync_status="in_progress"), job("paystubs.added", 2, "error")]),
        ("pending", [job("paystubs.added", 1, "pending")]),
        ("in_progress", [job("paystubs.added", 1, "pending"), job("paystubs.added", 2, sync_status="in_progress")]),
        ("failed", [job("paystubs.added", 1, "pending"), job("paystubs.added", 2, "error")]),
        ("failed", [job("paystubs.added", 2, "error"), job("paystubs.added", 1, "pending")]),
        ("failed", [job("paystubs.added", 1, "error"), job("paystubs.added", 1, "pending")]),
        ("pending", [job("paystubs.added", 1, "error"), job("paystubs.added", 2, "pending")]),
        ("succeeded", [job("paystubs.added", 1, "pending"), job("paystubs.fully_synced", 2)]),
        ("succeeded", [job("paystubs.fully_synced", 2), job("paystubs.added", 1, "pending")]),
        ("succeeded", [job("paystubs.fully_synced", 1), job("paystubs.added", 2, "error")]),
        ("succeeded", [job("paystubs.fully_synced", 1), job("paystubs.added", 2, "pending")]),
        ("succeeded", [job("paystubs.added", 1, "error"), job("paystubs.fully_synced", 2)]),
        ("succeeded", [job("paystubs.fully_synced", 1), job("paystubs.added", 1, sync_status="in_progress")]),
        ("succeeded", [job("paystubs.fully_synced", 1), added(5)]),
        ("waiting", [job("paystubs.added", 1, "postponed")]),
    ],
)
def test_status(expected_status, bodies):
    """The status is that of the newest event by its own time, save that data which was there stays there."""
    assert expected_status == status(*bodies)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_is_heard(product):
    """Each product has an event that makes it final."""
    assert "failed" == status(job(f"{product}.added", 1, "error"), product=product)


async def test_documents_of_paystubs_are_another_matter():
    """A failure with the documents of paystubs says nothing about the paystubs, and is not listened to."""
    readiness = Readiness()

    assert () == readiness.router.matching(decode_event(job("paystubs.documents.added", 1, "error")).event)


def test_a_switch_is_no_product():
    """A deposit switch that succeeded does not mean that the allocations were fetched."""
    readiness = Readiness()

    assert () == readiness.router.matching(decode_event(job("direct_deposit_switch.added")).event)


def test_error_of_the_newest_failure():
    """A product that failed has the error of its newest failure."""
    newer = job("income.added", 2, "error", error_type="userActionRequired", error_code="accountLocked")
    older = job("income.added", 1, "error", error_type="systemError", error_code="systemError")

    product = read([newer, older]).products["income"]

    assert ("userActionRequired", "accountLocked") == (product.error_type, product.error_code)


def test_no_error_after_success():
    """A product that is there shows no error, whatever a refresh ran into."""
    product = read([job("income.added", 1), job("income.added", 2, "error", error_type="systemError")]).products[
        "income"
    ]

    assert (None, None) == (product.error_type, product.error_code)


def test_long_errors_are_cut():
    """The history of an account is bounded, however long its error codes are."""
    product = read([job("income.added", 1, "error", error_code="x" * 10_000)]).products["income"]

    assert "x" * 100 == product.error_code


def test_updated_at():
    """A product was updated when the newest event about it says so."""
    product = read([job("income.added", 5, "error"), job("income.added", 2)]).products["income"]

    assert T0 + timedelta(seconds=5) == product.updated_at


@pytest.mark.parametrize(
    ("days", "progress", "events"),
    [
        (None, 0.0, []),
        (None, 0.1, ["paystubs.added"]),
        (7, 0.25, ["paystubs.seven_days_synced"]),
        (90, 0.75, ["paystubs.ninety_days_synced", "paystubs.thirty_days_synced"]),
        (90, 1.0, ["paystubs.fully_synced", "paystubs.ninety_days_synced"]),
    ],
)
def test_marks(days, progress, events):
    """The highest mark counts, and gives the progress while the product is not final."""
    state = read([job(event) for event in events], ["paystubs"])

    assert (days, progress) == (state.products["paystubs"].days_synced, state.progress)


def test_unsupported():
    """A product that the platform does not have is final from the start."""
    state = read([added()], ["shifts", "income"], supported={"income"})

    assert (("shifts",), ("income",), 0.5) == (state.unsupported, state.unfinished, state.progress)


def test_supported_after_all():
    """An event counts, even if the platform is said not to support its product."""
    assert "succeeded" == read([job("income.added")], supported=set()).products["income"].status


def test_groups():
    """The state names the products of each outcome, and whether it is ready for those and for others."""
    state = read([job("income.added"), job("identity.added", 1, "error"), job("shifts.added", 1, "pending")])

    assert (("income",), ("identity",), ("shifts",)) == (state.succeeded, state.failed, state.pending)
    assert (False, True) == (state.ready(), state.ready(["income", "identity"]))


def test_nothing_to_have():
    """An account of a platform without any product is ready at once."""
    state = read([added()], expected(None, frozenset({"bill_switch"})), supported={"bill_switch"})

    assert (True, 0.0) == (state.ready(), state.progress)


def test_platform_of_the_newest_connection():
    """The platform is that of the newest `account.added`, whatever came first."""
    bodies = [added(9, platform_id="platform-2"), job("income.added", platform_id="platform-3"), added(0)]

    assert ("platform-2", T0 + timedelta(seconds=9)) == (read(bodies).platform_id, read(bodies).added_at)


def test_platform_of_a_job():
    """A job's event names the platform where `account.added` did not come."""
    assert "platform-3" == read([job("income.added", platform_id="platform-3")]).platform_id


def test_other_events_change_nothing():
    """An event that says nothing about a product is not remembered."""
    history = remembered([added()])
    other = made("account.monitoring_status.updated", {"account_id": ACCOUNT, "monitoring_status": "degraded"})

    assert history is remember(history, decode_event(other).event, T0)


CONNECTION = connection()


@given(st.permutations([*CONNECTION, *CONNECTION[:6]]))
@settings(deadline=None)
def test_any_order(bodies):
    """The events of a connection, in any order and some of them twice, end in the same state."""
    assert read(CONNECTION) == read(bodies)


EVENTS = st.builds(
    job,
    st.sampled_from(["paystubs.added", "paystubs.fully_synced", "paystubs.seven_days_synced", "income.added"]),
    st.integers(0, 3),
    st.sampled_from(["success", "error", "pending", "other"]),
    sync_status=st.sampled_from([None, "in_progress", "complete"]),
    error_code=st.sampled_from([None, "a", "b"]),
    error_type=st.sampled_from([None, "c", "d"]),
)


@given(st.lists(EVENTS, max_size=8).flatmap(lambda bodies: st.tuples(st.just(bodies), st.permutations(bodies))))
@settings(deadline=None)
def test_any_events_in_any_order(orders):
    """The order of events changes nothing."""
    first, second = orders

    assert read(first) == read(second)


@given(st.lists(EVENTS, max_size=8), st.lists(EVENTS, max_size=4))
@settings(deadline=None)
def test_there_stays_there(bodies, more):
    """A product that is there stays there, whatever comes."""
    before, after = read(bodies), read([*bodies, *more])

    assert set(before.succeeded) <= set(after.succeeded)


def test_reprs_hold_no_values():
    """A repr shows id and statuses, and nothing else that came with the events."""
    state = read([job("income.added", 1, "error", error_code="planted", error_type="planted")], ["income"])

    assert f"<AccountReadiness account_id={ACCOUNT} income=failed>" == repr(state)
    assert "<ProductReadiness status=failed>" == repr(state.products["income"])


@given(st.permutations(connection()), st.lists(st.booleans(), min_size=16, max_size=16))
@settings(max_examples=50)
def test_what_was_heard_and_what_was_seen(bodies, sides):
    """Products of which some was heard and some was seen are where they would be if all of it had been heard."""
    heard = [body for body, side in zip(bodies, sides, strict=True) if side]
    rest = remembered([body for body, side in zip(bodies, sides, strict=True) if not side])
    notes = Notes(since=T0, seen=rest.products if rest else {})

    state = readiness_of(ACCOUNT, remembered(heard), notes, wanted=PRODUCTS, supported=None)

    assert read(bodies).products == state.products


async def test_error_is_a_timeout():
    """It is a `TimeoutError` and a `PinwheelError`."""
    error = NotReadyError([read([])], timeout_s=1)

    assert isinstance(error, TimeoutError)
    assert isinstance(error, PinwheelError)


async def test_error_can_be_pickled():
    """The error and its state cross process borders."""
    error = NotReadyError([read([job("income.added")])], timeout_s=1)

    assert error.states == pickle.loads(pickle.dumps(error)).states  # noqa: S301  # our own bytes
