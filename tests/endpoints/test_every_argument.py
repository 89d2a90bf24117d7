"""Every argument of every method, found by inspection: what is refused before anything is sent, and what is taken."""

import inspect
import warnings
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest

from pinwheel_async import endpoints as groups
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.errors import RequestError
from pinwheel_async.models.account import Account
from pinwheel_async.testing import make

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DAY = date(2026, 1, 2)
ID = UUID("12345678-1234-5678-1234-567812345678")

FLAGS = {
    "connected", "include_esps", "amount_supported", "with_parsed_data", "skip_intro_screen", "skip_exit_survey",
    "disable_direct_deposit_splitting",
}  # fmt: skip
LISTS = {
    "job_types": "income", "supported_jobs": "income", "features": "income", "required_jobs": "income",
    "response_types": "employer", "enabled_events": "income.added",
}  # fmt: skip
MODELS = {
    "allocation": {"type": "amount", "value": 5},
    "end_user": {"platform_matching": {"first_name": "Ann"}},
    "company_connect": {"company_connection_id": "c1"},
    "tags": {"a": "b"},
}
CHOICES = {
    "monitoring_status": "active", "outcome": "success", "platform_type": "payroll", "type": "paystub",
    "status": "active", "version": "2025-07-08", "language": "es", "solution": "Verify", "use_case": "underwriting",
    "document_uploads": "direct", "deposit_forms": "direct", "action": "deactivated", "account_type": "checking",
    "job": "direct_deposit_switch",
}  # fmt: skip
OTHERS = {
    "amount": Decimal("1.00"), "ttl": 900, "cards": [], "org_name": "Acme", "url": "https://a.example",
    "account_number": "123456", "routing_number": "123456789", "ein": "123456789", "limit": 5,
    "from_year": 2025, "to_year": 2025, "expires_at": NOON, "last_updated": NOON,
}  # fmt: skip
NUMBERS = {"limit", "from_year", "to_year", "ttl", "amount"}


class Planted:
    """Something whose text must not be shown."""

    def __repr__(self):
        return "planted"


def good(group, name):
    """A value that is taken."""
    special = {
        ("PlatformEndpoints", "type"): "payroll",
        ("SandboxEndpoints", "monitoring_status"): "user_action_required",
        ("CompanyConnectionEndpoints", "required_jobs"): ["company_census"],
    }
    if (group, name) in special:
        return special[group, name]
    if name in FLAGS:
        return True
    if name in LISTS:
        return [LISTS[name]]
    if name.endswith("_date"):
        return DAY
    if name.endswith("_timestamp"):
        return NOON
    return next((known[name] for known in (MODELS, CHOICES, OTHERS) if name in known), "text")


def bad(group, name, parameter):
    """Values that are refused: those that nothing is, and those of the kinds next to the right one."""
    values = [Planted(), b"planted", bytearray(b"planted"), 1j, Planted, lambda: None, float("nan")]
    if parameter.default is parameter.empty:
        values.append(None)
    value = good(group, name)
    if isinstance(value, str):
        values += [5, 0, 1.5, True, ["planted"], {"planted": "planted"}, make(Account), NOON, ("planted",)]
    if name in LISTS or name == "cards":
        values += ["planted", 5, [b"planted"], [5], {"planted": "planted"}, (text for text in ("planted",)), [None]]
    if name in MODELS:
        values += ["planted", 5, ["planted"], make(Account), {5: "planted"}, {"planted": Planted()}]
    if name in FLAGS:
        values += ["true", 1, 0, ["planted"]]
    if name in NUMBERS:
        values += ["5", True, [5], "planted"]
    if isinstance(value, date):
        values += ["2026-01-02", 5, NOON.replace(tzinfo=None), DAY if isinstance(value, datetime) else NOON]
    if name in CHOICES or name in LISTS:
        values += ["planted"]
    return values


GROUPS = {
    name: value
    for name in groups.__all__
    if isinstance(value := getattr(groups, name), type) and issubclass(value, Endpoints)
}
METHODS = [
    (group, name)
    for group, cls in GROUPS.items()
    for name, method in vars(cls).items()
    # Those that fetch a file by its link send no argument: tests of downloads look at them.
    if not name.startswith("_") and callable(method) and name not in {"download", "save"}
]


def parameters(group, method):
    return inspect.signature(inspect.unwrap(getattr(GROUPS[group], method))).parameters


def names(group, method):
    """Names of the arguments of a method."""
    return [
        parameter.name
        for parameter in parameters(group, method).values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    ]


def fewest(group, method, name):
    """Arguments of a call beside one, as few as there may be."""
    needed = {
        parameter.name: good(group, parameter.name)
        for parameter in parameters(group, method).values()
        if parameter.name != "self"
        and parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_KEYWORD
    }
    if (group, method) != ("LinkTokenEndpoints", "create"):
        return needed
    form = {"account_id": "a1"} if name == "required_jobs" else {"solution": "Verify", "features": ["income"]}
    return needed | form | {"end_user_id": "u"}


async def call(caller, group, method, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return await getattr(GROUPS[group](caller), method)(**arguments)


every = pytest.mark.parametrize(("group", "method"), METHODS)


@every
async def test_a_wrong_argument_is_named_and_nothing_is_sent(group, method, caller):
    """The error names the argument, and the type of the value if that is wrong, never the value."""
    for name in names(group, method):
        for value in bad(group, name, parameters(group, method)[name]):
            with pytest.raises(RequestError) as caught:
                await call(caller, group, method, fewest(group, method, name) | {name: value})

            (problem, *more) = caught.value.problems
            assert (name, [], []) == (problem.split()[0].partition("[")[0].partition(".")[0], more, caller.sent)
            assert not any(word in f"{caught.value!r}" for word in ("planted", "2026", "true"))
            typed = isinstance(value, str | list | dict | float | date) or type(value).__name__ in problem
            assert typed, problem


@every
async def test_a_right_argument_is_sent(group, method, caller):
    """The values that the refusals are compared with are taken."""
    for name in names(group, method):
        await call(caller, group, method, fewest(group, method, name) | {name: good(group, name)})

    assert len(caller.sent) == len(names(group, method))


@every
async def test_an_id_may_be_a_uuid(group, method, caller):
    """A UUID, which ids are in most databases, is sent as its text."""
    for name in names(group, method):
        if name.endswith("_id") and name != "reseller_customer_id":
            await call(caller, group, method, fewest(group, method, name) | {name: ID})

            assert str(ID) in f"{caller.request.target} {caller.request.body}"


@every
async def test_text_may_be_a_member_of_an_enum(group, method, caller):
    """A member of a `(str, Enum)` is sent exactly as its value is."""
    for name in names(group, method):
        value = good(group, name)
        if isinstance(value, str):
            kind = Enum("Name", {"MEMBER": value}, type=str)
            for given in (value, kind.MEMBER):
                await call(caller, group, method, fewest(group, method, name) | {name: given})

            (_, plain), (_, member) = caller.sent[-2:]
            assert plain == member


async def test_an_enum_stands_in_a_list(caller):
    """The values of a repeated parameter may be members of an enum."""
    job = Enum("Job", {"PAY": "income"}, type=str)
    await groups.JobEndpoints(caller).list(job_types=[job.PAY])

    assert caller.request.target == "/v1/jobs?job_types=income"


async def test_a_whole_object_is_told_the_cure(caller):
    """An account for its id is refused with what to give instead."""
    with pytest.raises(RequestError, match=r"account_id must be an id, .*, not Account: give its \.id"):
        await groups.IncomeEndpoints(caller).get(make(Account))


async def test_an_empty_search_is_sent(caller):
    """Whether empty text finds anything is for the server to say."""
    await groups.SearchEndpoints(caller).list("")

    assert caller.request.target == "/v1/search?q="


@pytest.mark.parametrize("group", GROUPS)
def test_a_signature_fits_on_a_screen(group):
    """What `help()` shows of a method is at most 25 lines of 80 characters, and names its parameters."""
    for name, method in inspect.getmembers(GROUPS[group], inspect.isfunction):
        signature = inspect.signature(method)

        assert len(str(signature)) <= 25 * 80, name
        assert "kwargs" not in str(signature)
