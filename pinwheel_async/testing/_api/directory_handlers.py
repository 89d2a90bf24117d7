"""Handlers of employers, platforms and companies."""

from pinwheel_async.testing._api.handlers import Answer, by_id, handles, item, listing
from pinwheel_async.testing._api.request import Call
from pinwheel_async.testing._api.validation import read_body
from pinwheel_async.testing._world import companies as _companies
from pinwheel_async.testing._world.directory import (
    EMPLOYER_COUNT,
    PLATFORM_COUNT,
    employer,
    employer_ein,
    is_portal,
    platform,
    search_results,
)
from pinwheel_async.testing._world.people import Profile
from pinwheel_async.testing._world.records import Record, bad_request, not_found, stamp
from pinwheel_async.testing._world.world import World

_TYPES = ("payroll", "time_and_attendance", "tax", "merchant")


@handles("list_employers")
def _list_employers(world: World, call: Call) -> Answer:
    return listing(_changed_since(call, [employer(world.ids, number) for number in range(EMPLOYER_COUNT)]))


@handles("get_employer")
def _get_employer(world: World, call: Call) -> Answer:
    made = (employer(world.ids, number) for number in range(EMPLOYER_COUNT))
    return item(by_id(made, call.path["employer_id"], "employer"))


@handles("lookup_employer")
def _lookup_employer(world: World, call: Call) -> Answer:
    ein = call.text("ein")
    if ein is None or len(ein) != 9 or not ein.isdigit():
        raise bad_request("INVALID_FIELDS", "A query parameter is not valid.", ("ein", "must be 9 digits"))
    for number in range(EMPLOYER_COUNT):
        if employer_ein(number) == ein:
            return item(employer(world.ids, number))
    raise not_found("employer")


@handles("list_platforms")
def _list_platforms(world: World, call: Call) -> Answer:
    kind, portals = call.choice("type", *_TYPES), call.flag("include_esps")
    made = [platform(world.ids, number) for number in range(PLATFORM_COUNT) if portals or not is_portal(number)]
    return listing(found for found in _changed_since(call, made) if kind in {None, found["type"]})


@handles("get_platform")
def _get_platform(world: World, call: Call) -> Answer:
    made = (platform(world.ids, number) for number in range(PLATFORM_COUNT))
    return item(by_id(made, call.path["platform_id"], "platform"))


@handles("search")
def _search(world: World, call: Call) -> Answer:
    words, kinds, jobs = call.text("q"), call.texts("response_types"), set(call.texts("supported_jobs"))
    platform_type, amounts = call.choice("platform_type", *_TYPES), call.flag("amount_supported")
    if not words:
        raise bad_request("MISSING_FIELDS", "Required fields are absent.", ("q", "is required"))

    def fits(hit: Record) -> bool:
        return (
            words.lower() in hit["name"].lower()
            and (not kinds or hit["response_type"] in kinds)
            and jobs <= set(hit["supported_jobs"])
            and platform_type in {None, hit["platform_type"]}
            # As documented: false leaves out what supports amounts.
            and not (amounts is False and hit["amount_supported"])
        )

    return listing(hit for hit in search_results(world.ids) if fits(hit))


@handles("list_company_connections")
def _list_connections(world: World, _: Call) -> Answer:
    return listing(world.resources.connections.values())


@handles("create_company_connection")
def _create_connection(world: World, call: Call) -> Answer:
    return item(world.resources.create_connection(read_body(call)["company_name"]))


@handles("get_company_connection")
def _get_connection(world: World, call: Call) -> Answer:
    connections = world.resources.connections.values()
    return item(by_id(connections, call.path["company_connection_id"], "company connection"))


@handles("list_company_census")
def _list_census(world: World, call: Call) -> Answer:
    return listing(_companies.census(person) for person in _employees(world, call)[1])


@handles("list_company_employments")
def _list_employments(world: World, call: Call) -> Answer:
    company, employees = _employees(world, call)
    return listing(_companies.employment(person, company) for person in employees)


@handles("list_company_incomes")
def _list_incomes(world: World, call: Call) -> Answer:
    return listing(_companies.income(person) for person in _employees(world, call)[1])


@handles("list_company_paystubs")
def _list_company_paystubs(world: World, call: Call) -> Answer:
    first, last = call.day("from_pay_date"), call.day("to_pay_date")
    company, employees = _employees(world, call)
    wanted = call.path["employee_external_id"]
    employee = next((person for person in employees if _companies.external_id(person) == wanted), None)
    if employee is None:
        raise not_found("employee")
    stubs = reversed(_companies.pay(employee, world.ids, company))
    return listing(stub for stub in stubs if (first or "") <= stub["pay_date"] <= (last or "9999"))


def _employees(world: World, call: Call) -> tuple[int, list[Profile]]:
    wanted = call.path["company_connection_id"]
    if wanted not in world.resources.connections:
        raise not_found("company connection")
    number = list(world.resources.connections).index(wanted)
    # Data is there when the connection says so, and not before.
    is_there = world.resources.connections[wanted]["status"] == "data_available"
    return number, _companies.employees(world.ids, number, world.end) if is_there else []


def _changed_since(call: Call, records: list[Record]) -> list[Record]:
    moment = call.moment("last_updated")
    since = "" if moment is None else stamp(moment)
    return [record for record in records if record["last_updated"] > since]
