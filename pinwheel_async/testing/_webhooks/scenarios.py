"""Scenarios of people who use Link, by name: what happens in the world, and what Link tells the page meanwhile."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from attrs import Factory, field, frozen

from pinwheel_async._core.arguments import meant
from pinwheel_async._privacy import Discreet
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.testing._webhooks.link_session import USUAL_PACE, Ending, LinkSession, Pace
from pinwheel_async.testing._webhooks.simulation import Simulation
from pinwheel_async.testing._world import companies as _companies, reports as _reports
from pinwheel_async.testing._world.directory import EMPLOYER_COUNT, MERCHANT
from pinwheel_async.testing._world.people import SWITCH_TARGET, SWITCHED_DOLLARS
from pinwheel_async.testing._world.records import Record, stamp

ScenarioName: TypeAlias = Literal[
    "happy",
    "slow_platform",
    "pending_then_success",
    "pending_then_error",
    "error",
    "stalled",
    "wrong_password",
    "reauthentication_needed",
    "monitoring_refresh",
    "gig_worker",
    "three_accounts",
    "disconnected_account",
    "document_uploads",
    "deposit_switch_full",
    "deposit_switch_partial",
    "card_switch",
    "bills",
    "company_connect",
    "verification_report",
]
"""Names of the scenarios."""

LATER_S = 60.0
"""Seconds after the login at which what comes later in a scenario happens: as long as the sandbox takes to resolve what
is pending, and after the last event of a usual session but for those of tax forms and reports."""


@frozen(kw_only=True)
class PlayedScenario(Discreet):
    """A scenario that was begun; the rest of it comes as time goes on."""

    scenario: str
    end_user_id: str = field(repr=False)
    """Who used Link."""
    link_token_id: str
    """Link token of the first session."""
    sessions: tuple[LinkSession, ...] = ()
    """A session for each account that was connected."""
    duration_s: float = 0.0
    """Seconds from the login to the last event."""
    link_events: tuple[tuple[str, Record], ...] = field(default=(), repr=False)
    """Names and payloads of what Link tells the page in the browser, from the login on; nothing of it is signed."""

    @property
    def account_ids(self) -> tuple[str, ...]:
        """Ids of the accounts that were connected."""
        return tuple([session.account_id for session in self.sessions])


@frozen(kw_only=True)
class Played:
    """What the steps of a scenario know of it."""

    simulation: Simulation
    end_user_id: str
    link_token_id: str
    account_id: str
    """The first account; empty if there is none."""
    platform_id: str


def _login(played: Played) -> list[tuple[str, Record]]:
    platform = {"platformId": played.platform_id}
    account = {"accountId": played.account_id} | platform
    return [("login_attempt", platform), ("login", account), ("success", account | {"job": "login"})]


Step: TypeAlias = tuple[float, Callable[[Played], object]]
"""Something that happens in the world, so many seconds after the login."""


@frozen(kw_only=True)
class Scenario:
    """One row of the table of scenarios."""

    about: str
    """What happens, in a sentence."""
    accounts: int = 1
    """How many accounts of one end user are connected."""
    outcome: Mapping[Product, Ending] = Factory(dict[Product, Ending])
    profile: Mapping[str, Any] = Factory(dict[str, Any])
    """Facts of the profiles behind new accounts."""
    pace: Pace = USUAL_PACE
    steps: tuple[Step, ...] = ()
    link: Callable[[Played], list[tuple[str, Record]]] = _login


def scenario_named(name: str) -> Scenario:
    """Return a scenario.

    Raises:
        ValueError: There is none of this name.
    """
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise ValueError(f"there is no scenario {name}{meant(name, SCENARIOS)}; there are {', '.join(SCENARIOS)}")
    return scenario


def play(
    simulation: Simulation,
    name: str,
    *,
    account_id: str | None = None,
    end_user_id: str | None = None,
    link_token_id: str | None = None,
    employer_id: str | None = None,
) -> PlayedScenario:
    """Begin a scenario; the rest of it is scheduled on the clock.

    Args:
        simulation: Where it happens.
        name: Name of the scenario.
        account_id: Account that is connected, again; new ones if None.
        end_user_id: Who uses Link; whom the Link token names, or somebody made up, if None.
        link_token_id: Link token; a made-up one if None.
        employer_id: Employer that is chosen; that of the made-up person if None.

    Raises:
        ValueError: There is no such scenario, account or employer.
    """
    scenario = scenario_named(name)
    link_token_id = link_token_id or simulation.new_id("link_token of a session")
    token = simulation.world.resources.link_tokens.get(link_token_id, {})
    account_id = account_id or token.get("account_id")
    end_user_id = end_user_id or token.get("end_user_id")
    chosen = {} if employer_id is None else {"employer": _employer(simulation, employer_id)}
    sessions: list[LinkSession] = []
    for number in range(scenario.accounts):
        known = account_id if number == 0 else None
        sessions.append(
            simulation.connect(
                known or simulation.new_account(number, **scenario.profile, **chosen),
                end_user_id or (sessions[0].end_user_id if sessions else None),
                link_token_id if number == 0 else None,
                scenario.outcome,
                scenario.pace,
            )
        )
    end_user_id = sessions[0].end_user_id if sessions else end_user_id or f"end_user_{link_token_id[:8]}"
    first = sessions[0].account_id if sessions else ""
    played = Played(
        simulation=simulation,
        end_user_id=end_user_id,
        link_token_id=link_token_id,
        account_id=first,
        platform_id=_platform_id(simulation, first),
    )
    for seconds, step in scenario.steps:
        simulation.later(first, seconds, _bound(step, played))
    ends_s = [session.duration_s for session in sessions] + [seconds for seconds, _ in scenario.steps]
    return PlayedScenario(
        scenario=name,
        end_user_id=end_user_id,
        link_token_id=link_token_id,
        sessions=tuple(sessions),
        duration_s=max(ends_s, default=0.0),
        link_events=tuple(scenario.link(played)),
    )


def _bound(step: Callable[[Played], object], played: Played) -> Callable[[], object]:
    return lambda: step(played)


def _employer(simulation: Simulation, employer_id: str) -> int:
    employers = {simulation.world.ids.make("employer", number): number for number in range(EMPLOYER_COUNT)}
    if employer_id not in employers:
        raise ValueError(f"there is no employer {employer_id}{meant(employer_id, employers)}")
    return employers[employer_id]


def _platform_id(simulation: Simulation, account_id: str) -> str:
    """Return the platform of an account; without one, that of whoever fails to log in."""
    world = simulation.world
    number = world.profile(world.index(account_id)).platform if account_id else 0
    return world.ids.make("platform", number)


def _login_and(*events: tuple[str, Record]) -> Callable[[Played], list[tuple[str, Record]]]:
    """Let Link tell of the login, and then of something else."""
    return lambda played: [*_login(played), *events]


def _error(kind: str, code: str, message: str, *, pending_retry: bool) -> tuple[str, Record]:
    return "error", {"type": kind, "code": code, "message": message, "pendingRetry": pending_retry}


_PENDING = _error("systemError", "systemError", "We will try again within a day.", pending_retry=True)
_FAILED = _error("userActionRequired", "accountLocked", "The account is locked at your employer.", pending_retry=False)
_WRONG_PASSWORD = _error("invalidUserInput", "invalidCredentials", "Name or password is wrong.", pending_retry=False)


def _without_account(*events: tuple[str, Record]) -> Callable[[Played], list[tuple[str, Record]]]:
    return lambda played: [("login_attempt", {"platformId": played.platform_id}), *events]


def _switch_params(action: str) -> Record:
    full = action == "full_switch"
    target = {"account_name": SWITCH_TARGET, "account_type": "checking", "last_four_account_number": "0000"}
    share = {"type": "remainder", "value": None} if full else {"type": "amount", "value": SWITCHED_DOLLARS}
    return {"action": action, "allocation": {**share, "target": target}}


def _switch_link(action: str) -> Callable[[Played], list[tuple[str, Record]]]:
    params = _switch_params(action)
    share = {name: value for name, value in params["allocation"].items() if name != "target" and value is not None}
    shown = {
        "action": action,
        "allocation": share | {"target": {"accountName": SWITCH_TARGET, "accountType": "checking"}},
    }

    def link(played: Played) -> list[tuple[str, Record]]:
        *login, (_, account) = _login(played)
        return [
            *login,
            ("input_allocation", shown),
            ("success", account | {"job": "direct_deposit_switch", "params": shown}),
        ]

    return link


def _switch_deposit(action: str) -> Callable[[Played], None]:
    def switch(played: Played) -> None:
        simulation, account_id = played.simulation, played.account_id
        simulation.world.recast(account_id, switched=action.removesuffix("_switch"))
        simulation.world.reveal(account_id, "direct_deposit_allocations")
        simulation.announce_job("direct_deposit_switch.added", account_id, params=_switch_params(action))

    return switch


def _switch_card(played: Played) -> None:
    played.simulation.announce_job("card_switch.added", played.account_id)


def _card_link(played: Played) -> list[tuple[str, Record]]:
    *login, (_, account) = _login(played)
    return [*login, ("card_switch_begin", {}), ("success", account | {"job": "card_switch"})]


def _set_monitoring(status: str) -> Callable[[Played], None]:
    def change(played: Played) -> None:
        played.simulation.world.edit_account(played.account_id, monitoring_status=status)
        played.simulation.deliver("account.monitoring_status.updated", played.account_id, None, {})

    return change


def _disconnect(played: Played) -> None:
    played.simulation.world.edit_account(played.account_id, connected=False, monitoring_status="unavailable")


def _refresh(product: Product) -> Callable[[Played], object]:
    return lambda played: played.simulation.refresh(played.account_id, product)


def _upload(document_type: str) -> Callable[[Played], None]:
    def upload(played: Played) -> None:
        simulation, world = played.simulation, played.simulation.world
        document_id = simulation.new_id("uploaded document")
        made = _reports.uploaded_document(document_id, played.end_user_id, document_type, world.now())
        world.uploads.setdefault(played.end_user_id, []).insert(0, made)
        said = {"document_id": document_id, "end_user_id": played.end_user_id, "link_token_id": played.link_token_id}
        simulation.deliver("documents.added", None, None, said | {"params": {"document_type": document_type}})

    return upload


_BILLS = (("monthly", 1_599), ("monthly", 4_200), ("yearly", 8_950))
"""How often each bill is due, and how many cents it is."""


def _bill(name: str, number: int, *, dearer: int = 0) -> Callable[[Played], object]:
    frequency, cents = _BILLS[number]

    def announce(played: Played) -> object:
        facts = {"end_user_id": played.end_user_id, "frequency": frequency, "next_payment_amount_cents": cents + dearer}
        if number:  # the first one has the id that a switch of it names
            facts["id"] = played.simulation.world.ids.make(
                "bill", played.simulation.world.index(played.account_id), number
            )
        return played.simulation.deliver(name, played.account_id, None, facts)

    return announce


def _bill_job(name: str) -> Callable[[Played], None]:
    return lambda played: played.simulation.announce_job(name, played.account_id)


def _bill_link(played: Played) -> list[tuple[str, Record]]:
    *_, (_, success) = _login(played)
    account = {name: success[name] for name in ("accountId", "platformId")}
    return [("login_attempt", {"platformId": played.platform_id}), ("merchant_login_success", account)]


def _company_status(status: str) -> Callable[[Played], object]:
    def change(played: Played) -> object:
        world = played.simulation.world
        company_id = _companies.connection(world.ids, 0, world.end)["id"]
        now = stamp(world.now())
        world.resources.connections[company_id] |= {"status": status, "status_updated_at": now}
        said = {"status": status, "status_updated_at": now}
        return played.simulation.deliver("company_connect.status.updated", None, None, said)

    return change


def _company_data(kind: str) -> Callable[[Played], object]:
    return lambda played: played.simulation.deliver(f"company_connect.{kind}.added", None, None, {})


def _reports_ready(*kinds: str) -> Callable[[Played], object]:
    def announce(played: Played) -> object:
        now = stamp(played.simulation.world.now())
        ready = {"status": "available", "updated_at": now, "refreshed_at": now}
        missing = {"status": "unavailable", "updated_at": None, "refreshed_at": None}
        availability = {kind: ready if kind in kinds else missing for kind in ("voe", "voie")}
        said = {"availability": availability}
        return played.simulation.deliver("verification_reports.refreshed", played.account_id, None, said)

    return announce


_SOON = Pace(resolved_after_s=(LATER_S, LATER_S))

SCENARIOS: Mapping[str, Scenario] = {
    "happy": Scenario(about="Connects; every product is there within 40 seconds."),
    "slow_platform": Scenario(
        about="Connects to a platform that takes twenty times as long: paystubs are complete after three minutes, tax"
        " forms are there after thirteen.",
        pace=Pace(factor=20.0),
    ),
    "pending_then_success": Scenario(
        about="Connects; income and paystubs are pending first, and there a minute later.",
        outcome={"income": "pending", "paystubs": "pending"},
        pace=_SOON,
        link=_login_and(_PENDING),
    ),
    "pending_then_error": Scenario(
        about="Connects; income and paystubs are pending first, and fail a minute later, as with the sandbox's"
        " user_pending.",
        outcome={"income": "pending_error", "paystubs": "pending_error"},
        pace=_SOON,
        link=_login_and(_PENDING),
    ),
    "error": Scenario(
        about="Connects; every product fails, as with the sandbox's user_error.",
        outcome=dict.fromkeys(PRODUCTS, "error"),
        link=_login_and(_FAILED),
    ),
    "stalled": Scenario(about="Connects; of paystubs nothing is ever heard.", outcome={"paystubs": "stalled"}),
    "wrong_password": Scenario(
        about="Does not connect: the password is wrong. Only Link in the browser says so; no webhook comes.",
        accounts=0,
        link=_without_account(_WRONG_PASSWORD),
    ),
    "reauthentication_needed": Scenario(
        about="Connects; after a minute the account needs its owner to log in again.",
        steps=((LATER_S, _set_monitoring("user_action_required")),),
    ),
    "monitoring_refresh": Scenario(
        about="Connects; after a minute monitoring finds a new paystub and a raise, and announces them without a Link"
        " token.",
        steps=((LATER_S, _refresh("paystubs")), (LATER_S + 1, _refresh("income"))),
    ),
    "gig_worker": Scenario(
        about="Connects; paid by the week and by the hour, with 420 shifts.",
        profile={"shifts": 420, "paystubs": 52, "period_days": 7, "salaried": False},
    ),
    "three_accounts": Scenario(about="One person connects accounts on three platforms at once.", accounts=3),
    "disconnected_account": Scenario(
        about="Connects; after a minute the account is disconnected for good, which no webhook tells.",
        steps=((LATER_S, _disconnect),),
    ),
    "document_uploads": Scenario(
        about="Connects no account, but uploads a paystub, a W-2 and a bank statement.",
        accounts=0,
        steps=((2.0, _upload("paystub")), (2.5, _upload("w2")), (3.0, _upload("bank_statement"))),
        link=_without_account(
            ("doc_uploads_begin", {}), ("doc_uploads_submitted", {"uploadedDocumentSubmittedCount": 3})
        ),
    ),
    "deposit_switch_full": Scenario(
        about="Connects, and moves all of the pay to another bank account.",
        steps=((20.0, _switch_deposit("full_switch")),),
        link=_switch_link("full_switch"),
    ),
    "deposit_switch_partial": Scenario(
        about="Connects, and moves 125 dollars of each pay to another bank account.",
        steps=((20.0, _switch_deposit("partial_switch")),),
        link=_switch_link("partial_switch"),
    ),
    "card_switch": Scenario(
        about="Connects, and lets the pay go to a card; its event is of the API's older versions.",
        steps=((20.0, _switch_card),),
        link=_card_link,
    ),
    "bills": Scenario(
        about="Connects a merchant: three bills are found, one of them gets dearer and is due, one is moved to another"
        " card and cancelled.",
        profile={"platform": MERCHANT},
        pace=Pace(products=()),
        steps=(
            *((2.0, _bill("bill.added", number)) for number in range(len(_BILLS))),
            (10.0, _bill("bill.updated", 1, dearer=500)),
            (20.0, _bill("bill.reminder", 1, dearer=500)),
            (30.0, _bill_job("bill_switch.added")),
            (40.0, _bill_job("bill_switch.cancelled")),
            (41.0, _bill("bill.removed", 0)),
        ),
        link=_bill_link,
    ),
    "company_connect": Scenario(
        about="A company connects its payroll: employees, their employments and incomes.",
        accounts=0,
        steps=(
            (0.0, _company_status("processing")),
            (10.0, _company_status("data_available")),
            *((11.0 + number, _company_data(kind)) for number, kind in enumerate(("census", "employments", "incomes"))),
        ),
        link=_without_account(),
    ),
    "verification_report": Scenario(
        about="Connects; the report about the employment can be fetched after 20 seconds, and the one with the income"
        " after a minute.",
        outcome={"income": "pending"},
        pace=_SOON,
        steps=((20.0, _reports_ready("voe")), (LATER_S + 3, _reports_ready("voe", "voie"))),
    ),
}
