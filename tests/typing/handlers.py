"""What the type checkers promise to those who register handlers. Never run: mypy and pyright, both strict, read it.

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
    Counts,
    KeyRing,
    MemoryInbox,
    Receiver,
    Router,
    SqliteInbox,
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
    """Take what nobody knows."""
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


router.on("income.added")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
router.on(str)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
router.on(IncomeAdded, outcome="succeeded")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
router.on(IncomeAdded, retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
router.on(IncomeAdded, "success")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
router.include("router")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

from pinwheel_async.events import PaystubAdded  # type: ignore[attr-defined]  # noqa: E402  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


@router.on(PaystubAdded)  # pyright: ignore[reportUnknownArgumentType]
async def of_a_misspelt_event(event: PaystubAdded) -> None:  # pyright: ignore[reportUnknownParameterType]
    """Is found at the import."""


async def receiving(app: web.Application) -> None:
    """A receiver is mounted in aiohttp, or called from elsewhere."""
    app.add_subapp("/hooks", webhook_app(router, secrets=["s"], inbox=SqliteInbox("inbox.db"), root=app))
    assert_type(webhook_app(router, secrets={"mine": "s"}, inbox=MemoryInbox()), web.Application)
    receiver = Receiver(router, ["s"])
    answer = await receiver.receive({"x-timestamp": "1"}, b"{}")
    assert_type(answer, Answer)
    assert_type(answer.status, int)
    assert_type(answer.headers, Mapping[str, str])
    assert_type(await receiver.health(), Counts | None)
    assert_type(KeyRing(["s"]).verify(signature=None, timestamp="1", body=b"{}"), Verdict)

    webhook_app(router)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    webhook_app(router, secrets=["s"], inbox="inbox.db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await receiver.receive({}, "{}")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    receiver.receive({}, b"{}")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
