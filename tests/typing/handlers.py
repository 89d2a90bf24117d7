"""Types of handlers as users register them. Never run: mypy and pyright, both strict, read it.

An `ignore` here is a promise too: both checkers report one that is not needed.
"""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, assert_type

from aiohttp import web

from pinwheel_async import RetryPolicy
from pinwheel_async.events import AccountEvent, Event, IncomeAdded, JobEvent, PaystubsAdded, PaystubsEvent, UnknownEvent
from pinwheel_async.webhooks import (
    Answer,
    Context,
    Entry,
    Health,
    KeyRing,
    MemoryInbox,
    Receiver,
    RefusalReason,
    Router,
    SqliteInbox,
    StoredDelivery,
    Verdict,
    webhook_app,
)

router = Router()


@router.on(PaystubsAdded)
async def on_paystubs(event: PaystubsAdded) -> None:
    """Take the event: its fields have their types."""
    assert_type(event.account_id, str)
    assert_type(event.event_id, str)
    assert_type(event.timestamp, datetime)
    assert_type(event.link_token_id, str | None)
    print(event.salary)  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownArgumentType]
    event.account_id = ""  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@router.on(IncomeAdded, outcome="success", retry=RetryPolicy(attempts=3), timeout_s=5)
async def on_income(event: IncomeAdded, context: Context) -> None:
    """Take the context, too."""
    assert_type(context.attempt, int)
    assert_type(context.received_at, datetime)
    assert_type(context.version, str | None)


@router.on(UnknownEvent)
async def on_unknown(event: UnknownEvent) -> None:
    """Take an event that this version does not know."""
    assert_type(event.payload, Mapping[str, Any])


async def on_job(event: JobEvent) -> None:
    """Take events by a base of theirs."""


router.on(PaystubsAdded)(on_job)
router.on(IncomeAdded)(on_job)


@router.on(PaystubsEvent)
async def on_family(event: PaystubsEvent) -> None:
    """Take a family, and tell its members apart."""
    match event:
        case PaystubsAdded():
            assert_type(event, PaystubsAdded)
        case _:
            pass


@router.on(PaystubsAdded, IncomeAdded)
async def on_two(event: PaystubsAdded | IncomeAdded) -> None:
    """Take either of two."""


@router.on(PaystubsAdded, IncomeAdded, AccountEvent)
async def on_three(event: Event, context: Context) -> None:
    """Take any of three by a base of theirs."""


@router.on(PaystubsAdded, IncomeAdded, AccountEvent, UnknownEvent, PaystubsEvent)
async def on_many(event: Event) -> None:
    """Take any of many."""


@router.on_error
def on_error(event: Event, context: Context, exception: BaseException) -> None:
    """Be told of a failure."""


@router.on_dead
async def on_dead(entry: Entry) -> None:
    """Be told of a death."""


@router.on(PaystubsAdded, IncomeAdded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def of_one_of_two(event: IncomeAdded) -> None:
    """Cannot take the other one."""


assert_type(on_paystubs, Callable[[PaystubsAdded], Coroutine[Any, Any, None]])
assert_type(on_income, Callable[[IncomeAdded, Context], Coroutine[Any, Any, None]])


class Counter:
    """Anything that can be called and awaited is a handler."""

    async def __call__(self, event: Event) -> None:
        """Count."""

    async def count(self, event: AccountEvent) -> None:
        """Count."""


router.on(Event)(Counter())
router.on(AccountEvent)(Counter().count)


@router.on(IncomeAdded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def of_another_event(event: PaystubsAdded) -> None:
    """Cannot take an income event."""


@router.on(JobEvent)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def of_one_member(event: IncomeAdded) -> None:
    """Cannot take all the events of its family."""


@router.on(IncomeAdded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def not_async(event: IncomeAdded) -> None:
    """Cannot be awaited."""


@router.on(IncomeAdded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def not_a_context(event: IncomeAdded, context: str) -> None:
    """Cannot take a context."""


@router.on(IncomeAdded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def too_many(event: IncomeAdded, context: Context, more: int) -> None:
    """Cannot be called with an event and a context."""


@router.on(IncomeAdded)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def nothing() -> None:
    """Cannot take the event."""


router.on("income.added")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
router.on(str)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
router.on(IncomeAdded, outcome="succeeded")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
router.on(IncomeAdded, retries=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
router.on(IncomeAdded, "success")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
router.include("router")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

from pinwheel_async.events import PaystubAdded  # type: ignore[attr-defined]  # noqa: E402  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


@router.on(PaystubAdded)  # pyright: ignore[reportUnknownArgumentType]
async def of_a_misspelt_event(event: PaystubAdded) -> None:  # pyright: ignore[reportUnknownParameterType]
    """Is found at the import."""


def on_refused(reason: RefusalReason, status: int) -> None:
    """Is told why."""


async def on_stored(delivery: StoredDelivery) -> None:
    """May be asynchronous."""
    assert_type(delivery.new, bool)


async def receiving(app: web.Application) -> None:
    """A receiver is mounted in aiohttp, or called from elsewhere."""
    app.add_subapp("/hooks", webhook_app(router, secrets=["s"], inbox=SqliteInbox("inbox.db"), root=app))
    assert_type(webhook_app(router, secrets={"mine": "s"}, inbox=MemoryInbox()), web.Application)
    receiver = Receiver(router, ["s"], on_refused=on_refused, on_stored=on_stored)
    answer = await receiver.receive({"x-timestamp": "1"}, b"{}")
    assert_type(answer, Answer)
    assert_type(answer.status, int)
    assert_type(answer.headers, Mapping[str, str])
    assert_type(await receiver.health(), Health)
    await receiver.receive([("x-timestamp", "1")], b"{}")
    await receiver.receive([(b"x-timestamp", b"1")], b"{}")
    assert_type(KeyRing(["s"]).verify(signature=None, timestamp="1", body=b"{}"), Verdict)

    webhook_app(router)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Receiver(router, ["s"], on_stored=on_refused)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    webhook_app(router, secrets=["s"], inbox="inbox.db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await receiver.receive({}, "{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    receiver.receive({}, b"{}")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
