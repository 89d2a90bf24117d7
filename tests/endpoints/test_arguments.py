"""Arguments that are hostile, wrong or odd: what is encoded, and what is refused before anything is sent."""

import traceback
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from pinwheel_async.endpoints import (
    AccountEndpoints,
    AdminEndpoints,
    CompanyConnectionEndpoints,
    DocumentEndpoints,
    EmployerEndpoints,
    IncomeEndpoints,
    JobEndpoints,
    LinkTokenEndpoints,
    PaystubEndpoints,
    SearchEndpoints,
    ShiftEndpoints,
    SiteEndpoints,
    WebhookEndpoints,
)
from pinwheel_async.errors import RequestError

EVENTS = ["income.added"]
LEGACY = {
    "job": "direct_deposit_payment",
    "org_name": "Acme",
    "account_number": "12345",
    "routing_number": "123456789",
    "account_type": "checking",
}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a/b c?d#é%2F", "a%2Fb%20c%3Fd%23%C3%A9%252F"),
        ("a&b=c+d", "a%26b%3Dc%2Bd"),
        ("{account_id}", "%7Baccount_id%7D"),
        ("...", "..."),
        ("../x", "..%2Fx"),
        ("\r\nHost: x", "%0D%0AHost%3A%20x"),
        ("\x00", "%00"),
        ("~._-", "~._-"),
    ],
)
async def test_a_path_value_is_one_segment_whatever_it_holds(value, sent, caller):
    """Every character that means something in a URL is percent-encoded."""
    await IncomeEndpoints(caller).get(value)

    assert f"/v1/accounts/{sent}/income" == caller.request.target


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_an_id_that_would_change_the_path_is_refused(value, caller):
    """An empty id and the dot segments, which a URL library would fold away, are not sent."""
    with pytest.raises(RequestError, match="account_id must be an id"):
        await IncomeEndpoints(caller).get(value)


@pytest.mark.parametrize("value", ["  ", " .. "])
def test_an_end_user_id_is_trimmed_before_it_is_judged(value, caller):
    """Blanks around an end user id hide nothing."""
    with pytest.raises(RequestError, match="end_user_id must be an id"):
        AccountEndpoints(caller).list_for_end_user(value)


async def test_an_end_user_id_is_trimmed_in_a_path(caller):
    """The server stores end user ids trimmed, so the path names the trimmed one."""
    await DocumentEndpoints(caller).get(end_user_id=" a b\n", document_id="d")

    assert caller.request.target == "/v1/end_users/a%20b/documents/d"


async def test_no_other_id_is_trimmed(caller):
    """An account id goes out as it is."""
    await IncomeEndpoints(caller).get(" a ")

    assert caller.request.target == "/v1/accounts/%20a%20/income"


async def test_an_endpoint_is_named_by_its_template(caller):
    """What may be logged of a request holds no id."""
    await IncomeEndpoints(caller).get("a1")

    assert caller.request.endpoint == "GET /v1/accounts/{account_id}/income"


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02T03%3A04%3A05.000006%2B00%3A00"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-5))), "2026-01-02T00%3A00%3A00-05%3A00"),
    ],
)
async def test_a_moment_keeps_its_offset(moment, sent, caller):
    """The plus sign of an offset is encoded, or it would arrive as a blank."""
    await EmployerEndpoints(caller).list(last_updated=moment)

    assert caller.request.target == f"/v1/employers?last_updated={sent}"


async def test_an_empty_list_sends_nothing(caller):
    """A repeated parameter without values is left out."""
    await JobEndpoints(caller).list(job_types=[])

    assert caller.request.target == "/v1/jobs"


async def test_values_of_a_list_are_pairs_of_their_own(caller):
    """Each value of a repeated parameter is sent as a pair of its own."""
    await JobEndpoints(caller).list(job_types=["income", "shifts"])

    assert caller.request.target == "/v1/jobs?job_types=income&job_types=shifts"


NAIVE = datetime(2026, 1, 2)  # noqa: DTZ001  # naive on purpose


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda c: AccountEndpoints(c).list(limit=0), "limit must be a whole number from 1 to 100"),
        (lambda c: AccountEndpoints(c).list(limit=101), "limit must be a whole number from 1 to 100"),
        (lambda c: AccountEndpoints(c).list(limit=True), "limit must be a whole number from 1 to 100, not bool"),
        (lambda c: AccountEndpoints(c).list(limit="5"), "limit must be a whole number from 1 to 100, not str"),
        (
            lambda c: JobEndpoints(c).list(from_timestamp=NAIVE),
            "from_timestamp must be an aware datetime, such as datetime.now(UTC)",
        ),
        (
            lambda c: PaystubEndpoints(c).list("a", to_pay_date=datetime(2026, 1, 2, tzinfo=UTC)),
            "to_pay_date must be a date, such as moment.date(), not datetime",
        ),
        (
            lambda c: ShiftEndpoints(c).list("a", from_end_date=NAIVE),
            "from_end_date must be a date, such as moment.date(), not datetime",
        ),
        (
            lambda c: JobEndpoints(c).list(job_types="income"),
            "job_types must be a list, such as [value], even for one value, not str",
        ),
        (
            lambda c: SearchEndpoints(c).list("q", response_types="employer"),
            "response_types must be a list, such as [value], even for one value, not str",
        ),
        (
            lambda c: JobEndpoints(c).list(outcome=["error", "success"]),
            "outcome must be one of pending, error, success, not list",
        ),
        (lambda c: SearchEndpoints(c).list(None), "q must be text, not NoneType"),
        (lambda c: SearchEndpoints(c).list("\ud800"), "q must be text that UTF-8 can encode"),
        (lambda c: PaystubEndpoints(c).list("\ud800"), "account_id must be text that UTF-8 can encode"),
    ],
)
def test_a_list_refuses_a_bad_argument_at_once(call, problem, caller):
    """A list that the server would refuse fails where it is made, not at the first await."""
    with pytest.raises(RequestError) as caught:
        call(caller)

    assert (problem,) == caught.value.problems


@pytest.mark.parametrize(
    ("call", "problems"),
    [
        *[
            (
                lambda c, ein=ein: EmployerEndpoints(c).lookup(ein),
                ["ein must be text of 9 digits, without blanks or dashes"],
            )
            for ein in ("12-3456789", "12345678", "1234567890", "", "12345678x", "١٢٣٤٥٦٧٨٩", "123456789\n")
        ],
        *[
            (
                lambda c, url=url: WebhookEndpoints(c).create(url=url, enabled_events=EVENTS, version="2025-07-08"),
                ["url must be a URL that starts with https://"],
            )
            for url in ("http://a.example", "a.example", "https://", "https:///x", "")
        ],
        (
            lambda c: WebhookEndpoints(c).create(url="http://a", enabled_events=[], version="2025-07-08"),
            ["url must be a URL that starts with https://", "enabled_events must name at least one event"],
        ),
        (
            lambda c: WebhookEndpoints(c).create(url="https://a", enabled_events="income.added", version="2025-07-08"),
            ["enabled_events must be a list, such as [value], even for one value, not str"],
        ),
        (
            lambda c: WebhookEndpoints(c).update("w", url="http://a", enabled_events=()),
            ["url must be a URL that starts with https://", "enabled_events must name at least one event"],
        ),
        (
            lambda c: AdminEndpoints(c).create_api_key("t", expires_at=NAIVE),
            ["expires_at must be an aware datetime, such as datetime.now(UTC)"],
        ),
        (
            lambda c: CompanyConnectionEndpoints(c).create_link_token(org_name="Ab", required_jobs="company_census"),
            [
                "required_jobs must be a list, such as [value], even for one value, not str",
                "org_name must be text of 3 to 30 characters",
            ],
        ),
        (
            lambda c: CompanyConnectionEndpoints(c).create_link_token(org_name="A" * 31),
            ["org_name must be text of 3 to 30 characters"],
        ),
    ],
)
async def test_a_call_refuses_what_the_server_would(call, problems, caller):
    """All problems come in one error, and nothing is sent."""
    with pytest.raises(RequestError) as caught:
        await call(caller)

    assert (tuple(problems), []) == (caught.value.problems, caller.sent)


@pytest.mark.parametrize("url", ["https://a.example/x?y=1#mine", "HTTPS://a.example"])
async def test_any_https_url_is_a_webhook(url, caller):
    """A fragment, which callers use to find their webhook again, and a scheme in capitals are no fault."""
    await WebhookEndpoints(caller).update("w", url=url)

    assert len(caller.sent) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("amount", "problem"),
    [
        (None, "amount must be given for direct_deposit_payment"),
        (Decimal("1.5"), "amount must be a Decimal with exactly two decimals, in dollars"),
        (Decimal(1), "amount must be a Decimal with exactly two decimals, in dollars"),
        (Decimal("NaN"), "amount must be a finite Decimal or int"),
        (1.25, "amount must be a finite Decimal or int, not float"),
    ],
)
@pytest.mark.parametrize(
    "create",
    [
        lambda c, **fields: LinkTokenEndpoints(c).create_legacy(**fields),
        lambda c, **fields: SiteEndpoints(c).create(**fields, redirect_url="https://a.example"),
    ],
    ids=["link_token", "site"],
)
async def test_an_old_amount_is_dollars_with_two_decimals(create, amount, problem, caller):
    """The old requests take exactly two decimals, and need them for a payment."""
    with pytest.raises(RequestError) as caught:
        await create(caller, **LEGACY, amount=amount)

    assert (problem,) == caught.value.problems


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ttl", [899, 1209601])
async def test_an_old_page_lives_from_15_minutes_to_14_days(ttl, caller):
    """The lifetime of a site has two limits."""
    with pytest.raises(RequestError, match="ttl must be 900 to 1209600 seconds"):
        await SiteEndpoints(caller).create(**LEGACY, amount=Decimal("1.00"), redirect_url="https://a", ttl=ttl)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "call",
    [
        lambda c: AdminEndpoints(c).create_token(username="radium", password="radium"),
        lambda c: AdminEndpoints(c).create_api_key("radium"),
        lambda c: AdminEndpoints(c).revoke_api_key("radium", api_key="k"),
        lambda c: AdminEndpoints(c).list_api_keys("radium"),
        lambda c: LinkTokenEndpoints(c).create(
            org_name="Acme", solution="Verify", features=["income"], end_user_id="u", tags={"a": "radium"}
        ),
        lambda c: LinkTokenEndpoints(c).create_legacy(
            **{**LEGACY, "account_number": "radium", "routing_number": "radium"},
            account_name="radium",
            amount=Decimal("1.00"),
        ),
        lambda c: SiteEndpoints(c).create(
            **{**LEGACY, "account_number": "radium", "routing_number": "radium"},
            redirect_url="radium",
            amount=Decimal("1.00"),
        ),
        lambda c: PaystubEndpoints(c).list("a", cursor="radium"),
    ],
    ids=["login", "create_key", "revoke_key", "list_keys", "link_token", "legacy", "site", "cursor"],
)
async def test_a_waiting_frame_holds_no_secret(call, caller):
    """A traceback with local variables, as some loggers write it, shows no secret of a call that failed."""
    caller.will([LookupError()])

    with pytest.raises(LookupError) as caught:
        await call(caller)
    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.value.__traceback__), capture_locals=True)
    ours = [frame for frame in frames if "pinwheel_async/" in frame.filename]
    assert "radium" not in repr([frame.locals for frame in ours])


@pytest.mark.parametrize(
    "call",
    [
        lambda c: PaystubEndpoints(c).list("\udcffradium"),
        lambda c: SearchEndpoints(c).list("\udcffradium"),
        lambda c: JobEndpoints(c).list(job_types="radium"),
        lambda c: CompanyConnectionEndpoints(c).create("\udcffradium"),
    ],
)
async def test_a_refusal_never_repeats_a_value(call, caller):
    """Neither the message nor a cause of a refusal holds what was refused."""
    with pytest.raises(RequestError) as caught:
        await call(caller)

    assert "radium" not in repr(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
