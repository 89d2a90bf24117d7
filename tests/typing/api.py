"""Types as users see them. Never run: mypy and pyright, both strict, read it.

An `ignore` here is a promise too: both checkers report one that is not needed.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, assert_type
from uuid import uuid4

import aiohttp

from pinwheel_async import (
    PRODUCTS,
    ApiError,
    CursorError,
    DeadlineError,
    DecodeError,
    ErrorDetail,
    MinorUnits,
    Page,
    Paged,
    Pinwheel,
    PinwheelError,
    Product,
    RateLimitError,
    Reply,
    RequestError,
    Response,
    RetryPolicy,
    Settings,
    Snapshot,
    SyncError,
    TransportError,
    background,
    capture,
    with_reply,
)
from pinwheel_async.models import (
    Account,
    AccountDataUpdatedAt,
    Currency,
    DirectDepositAllocations,
    Document,
    Earning,
    Employment,
    EndUserDocument,
    Identity,
    Income,
    Job,
    LinkToken,
    LinkTokenAllocation,
    LinkTokenRequest,
    Paystub,
    SearchResult,
    Shift,
    TaxForm,
    TaxFormSummary,
    VerificationReportVOIE,
    Webhook,
)
from pinwheel_async.sync import (
    AnnouncementStore,
    Batch,
    Completeness,
    Kind,
    MemorySink,
    MemoryStore,
    Mirror,
    ProductCounts,
    ProductStatus,
    Progress,
    Reconciliation,
    Sink,
    SqlSink,
    SyncFailure,
    SyncReport,
    export,
    purge,
    status,
    sync,
)
from pinwheel_async.testing import FakePinwheel, Fault, World, make, make_paystub
from pinwheel_async.webhooks import Router


async def client(session: aiohttp.ClientSession) -> None:
    """A client is its own context manager, and takes a session."""
    async with Pinwheel("secret", environment="sandbox", session=session) as pinwheel:
        assert_type(pinwheel, Pinwheel)
    async with Pinwheel(retry=RetryPolicy(attempts=1), timeout_s=5, requests_per_s=10) as pinwheel:
        assert_type(pinwheel.settings, Settings)
        assert_type(pinwheel.drift, Mapping[str, int])
        assert_type(pinwheel.paused_s, float)

    Pinwheel("secret", environment="staging")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Pinwheel("secret", "sandbox")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Pinwheel("secret", timeout=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def lists(pinwheel: Pinwheel) -> None:
    """A list is awaited for a page, iterated for items, and has pages."""
    paged = pinwheel.paystubs.list("account", from_pay_date=date(2026, 1, 1), limit=100)
    assert_type(paged, Paged[Paystub])
    page = await paged
    assert_type(page, Page[Paystub])
    assert_type(page.data, tuple[Paystub, ...])
    assert_type(page.next_cursor, str | None)
    assert_type(page.refreshed_at, datetime | None)
    assert_type([paystub for paystub in page], list[Paystub])  # noqa: C416  # iterating a page is what is asserted
    assert_type(len(page), int)
    async for paystub in paged:
        assert_type(paystub, Paystub)
    async for page in paged.pages():
        assert_type(page, Page[Paystub])
    assert_type(await paged.all(), tuple[Paystub, ...])
    assert_type(pinwheel.accounts.list(), Paged[Account])
    assert_type(pinwheel.accounts.list_for_end_user("user"), Paged[Account])
    assert_type(pinwheel.shifts.list("account"), Paged[Shift])
    assert_type(pinwheel.tax_forms.list("account"), Paged[TaxFormSummary])
    assert_type(pinwheel.search.list("q"), Paged[SearchResult])
    assert_type(pinwheel.webhooks.list(), Paged[Webhook])

    pinwheel.paystubs.list("account", from_date=date(2026, 1, 1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    pinwheel.paystubs.list("account", limit="100")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pinwheel.paystubs.list("account", date(2026, 1, 1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    for _ in paged:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass


async def objects(pinwheel: Pinwheel) -> None:
    """A single object is awaited."""
    assert_type(await pinwheel.accounts.get("account"), Account)
    assert_type(await pinwheel.identity.get("account"), Identity)
    assert_type(await pinwheel.income.get("account"), Income)
    assert_type(await pinwheel.employment.get("account"), Employment)
    assert_type(await pinwheel.direct_deposit_allocations.get("account"), DirectDepositAllocations)
    assert_type(await pinwheel.paystubs.get(account_id="account", paystub_id="paystub"), Paystub)
    assert_type(await pinwheel.tax_forms.get(account_id="account", tax_form_id="form"), TaxForm)
    assert_type(pinwheel.jobs.list(account_id="account"), Paged[Job])
    assert_type(await pinwheel.verification_reports.get_voie("user"), VerificationReportVOIE)
    assert_type(
        await pinwheel.link_tokens.create(
            org_name="Acme", solution="Verify", features=["paystubs"], end_user_id=uuid4(), end_user={}
        ),
        LinkToken,
    )
    LinkTokenAllocation(value=100)
    LinkTokenRequest(org_name="Acme", solution="verify")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    LinkTokenRequest(org_name="Acme", solution="Verify", features=("paystub",))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    pinwheel.income.get("account")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await pinwheel.paystubs.get("account", "paystub")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    print((await pinwheel.income.get("account")).salary)  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownArgumentType]


async def values(pinwheel: Pinwheel) -> None:
    """Money is a type of its own, days are dates, moments are aware datetimes, enums are open, models are frozen."""
    paystub = await pinwheel.paystubs.get(account_id="account", paystub_id="paystub")
    assert_type(paystub.gross_pay_amount, MinorUnits)
    assert_type(paystub.gross_pay_ytd, MinorUnits | None)
    assert_type(paystub.gross_pay_amount + paystub.net_pay_amount, int)
    assert_type(Decimal(paystub.net_pay_amount) / 100, Decimal)
    assert_type(paystub.pay_date, date)
    assert_type(paystub.created_at, datetime)
    assert_type(paystub.currency, Currency | str)
    assert_type(paystub.earnings, tuple[Earning, ...])
    assert_type(paystub.document, Document | None)
    account = await pinwheel.accounts.get("account")
    assert_type(account.data_updated_at, AccountDataUpdatedAt)
    assert_type(account.data_updated_at.paystubs, datetime | None)

    paystub.net_pay_amount = MinorUnits(0)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    pay(paystub.net_pay_amount)
    pay(12)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def pay(amount: MinorUnits) -> None:
    """Take money, and not just any number."""


async def whole_account(pinwheel: Pinwheel) -> None:
    """A snapshot's field is the data, or an error, or None where it was not asked for."""
    snapshot = await pinwheel.snapshot("account", products=("paystubs", "income"))
    assert_type(snapshot, Snapshot)
    assert_type(snapshot.account, Account | PinwheelError)
    assert_type(snapshot.income, Income | PinwheelError | None)
    assert_type(snapshot.paystubs, tuple[Paystub, ...] | PinwheelError | None)
    assert_type(snapshot.errors, Mapping[str, PinwheelError])
    match snapshot.income:
        case Income() as income:
            assert_type(income.compensation_amount, MinorUnits)
        case PinwheelError() as error:
            assert_type(error, PinwheelError)
        case None:
            pass

    await pinwheel.snapshot("account", products=("pay",))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def answers(pinwheel: Pinwheel) -> None:
    """What was captured has the whole answer."""
    with capture() as replies, background():
        await pinwheel.income.get("account")
    assert_type(replies, list[Reply[Any]])
    assert_type(replies[0].response, Response)
    assert_type(replies[0].response.request_id, str | None)
    assert_type(replies[0].drift, tuple[str, ...])


async def bulk(pinwheel: Pinwheel) -> None:
    """A sync takes a sink and gives a report."""
    report = await sync(pinwheel, SqlSink("sqlite:///payroll.db"), products=("employment", "paystubs"))
    assert_type(report, SyncReport)
    assert_type(report.ok, bool)
    assert_type(report.items, int)
    assert_type(report.products, Mapping[Product, ProductCounts])
    assert_type(report.failures, tuple[SyncFailure, ...])
    assert_type(report.failures[0].error, PinwheelError)
    await sync(pinwheel, MemorySink(), accounts=["account"], on_progress=show_progress)
    await sync(pinwheel, Printer(), products=PRODUCTS)
    await sync(pinwheel, MemoryStore(), changed_only=False, retry_failed=True, recheck_after=timedelta(days=1))
    assert_type(report.planned, Mapping[Kind, int] | None)
    assert_type(await export("sqlite://", "folder", format="csv"), dict[str, int])
    assert_type((await status("sqlite://")).products, Mapping[Product, ProductStatus])
    assert_type((await purge("sqlite://", account_id="account")).remaining, Mapping[str, int])

    await sync(pinwheel, Printer(), changed_only="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await export("sqlite://", "folder", format="xml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await sync(pinwheel, SqlSink("sqlite://"), products=("pay",))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await sync(pinwheel, object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def mirror(pinwheel: Pinwheel, router: Router) -> None:
    """A mirror takes a store that keeps announcements, and gives a router."""
    async with Mirror(pinwheel, SqlSink("sqlite:///payroll.db"), debounce_s=0) as opened:
        assert_type(opened, Mirror)
        router.include(opened.router)
        assert_type(await opened.reconcile(), Reconciliation)
        assert_type(await opened.completeness("account"), Mapping[Product, Completeness])
        async for entry in opened.incomplete():
            assert_type(entry.missing, tuple[str, ...])

    Mirror(pinwheel, Printer())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def show_progress(progress: Progress) -> None:
    """Take what a sync tells."""
    assert_type(progress.accounts_total, int | None)


class Printer:
    """A sink of one's own needs no base class."""

    async def open(self) -> None:
        """Get ready."""

    async def write(self, batch: Batch) -> None:
        """Take a page."""

    async def close(self, *, complete: bool) -> None:
        """Finish."""


SINK: Sink = Printer()

STORES: tuple[AnnouncementStore, ...] = (MemoryStore(), SqlSink("sqlite://"))


def errors(error: PinwheelError) -> None:
    """An error has its facts as attributes."""
    match error:
        case RateLimitError():
            assert_type(error.retry_after_s, float | None)
            assert_type(error.unsent, str | None)
        case ApiError():
            assert_type(error.status, int)
            assert_type(error.code, str | None)
            assert_type(error.details, tuple[ErrorDetail, ...])
            assert_type(error.request_id, str | None)
        case DeadlineError() | TransportError():
            assert_type(error.sent, bool)
            assert_type(error.attempts, int)
        case DecodeError():
            assert_type(error.paths, tuple[str, ...])
        case RequestError():
            assert_type(error.problems, tuple[str, ...])
        case CursorError():
            assert_type(error.pages, int)
        case SyncError():
            assert_type(error.exceptions, tuple[PinwheelError | ExceptionGroup[PinwheelError], ...])
        case _:
            pass


async def testing() -> None:
    """The fake is a context manager of both kinds, and a made-up model has its class."""
    async with FakePinwheel(accounts=100) as fake:
        assert_type(fake, FakePinwheel)
        assert_type(fake.base_url, str)
        assert_type(fake.world, World)
        fake.script(Fault(status=503), times=2, operation="list_paystubs")
    with FakePinwheel() as fake:
        assert_type(fake.api_secret, str)
    assert_type(make_paystub(3), Paystub)
    assert_type(make(EndUserDocument), EndUserDocument)
    assert_type(make(LinkTokenRequest, org_name="Acme"), LinkTokenRequest)


async def options_and_raw_requests(pinwheel: Pinwheel, account_id: str) -> None:
    """A request has the type of its class; a view is a client; a whole answer has its value's type."""
    assert_type(await pinwheel.with_options(timeout_s=5).income.get(account_id), Income)
    assert_type(await pinwheel.request("GET", "/v1/new", cast_to=Income), Income)
    assert_type(await pinwheel.request("GET", "/v1/new", cast_to=Page[Paystub]), Page[Paystub])
    assert_type(await pinwheel.request("GET", "/v1/new"), Any)
    pinwheel.request("get", "/v1/new")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
    assert_type(await with_reply(pinwheel.income.get(account_id)), Reply[Income])
    assert_type(await with_reply(pinwheel.paystubs.list(account_id)), Reply[Page[Paystub]])
    assert_type(await pinwheel.paystubs.list(account_id).first(3), tuple[Paystub, ...])
    async for paystub in pinwheel.paystubs.list(account_id).items(on_error=print, prefetch=True):
        assert_type(paystub, Paystub)


async def downloads(pinwheel: Pinwheel, paystub: Paystub, form: TaxForm, document: EndUserDocument) -> None:
    """Whatever holds a document can be downloaded."""
    assert_type(await pinwheel.documents.download(paystub), bytes)
    assert_type(await pinwheel.documents.download(document), bytes)
    assert_type(
        await pinwheel.documents.save(
            form, "form.pdf", renew=lambda: pinwheel.tax_forms.get(account_id="a", tax_form_id="t")
        ),
        int,
    )


def answers_of_errors(refused: ApiError, odd: DecodeError) -> None:
    """The answer may be gone."""
    assert_type(refused.response, Response | None)
    assert_type(odd.response, Response | None)
