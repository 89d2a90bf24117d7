"""The generated reference: complete and true, by facts about the API that were recorded apart from the code."""

import ast
import inspect
import json
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pinwheel_async
from pinwheel_async import ApiError, Pinwheel, RetryPolicy
from pinwheel_async.cli._app import app
from pinwheel_async.docs import _names, _source
from pinwheel_async.docs._reference import REFERENCE, endpoints, logs, metrics, objects, settings
from pinwheel_async.endpoints import ENDPOINTS
from pinwheel_async.events import EVENTS
from pinwheel_async.sync import METADATA
from pinwheel_async.sync._views.definitions import VIEWS
from pinwheel_async.testing import FakePinwheel, Fault
from pinwheel_async.webhooks import Health, Receiver, Router

PACKAGE = Path(pinwheel_async.__file__).parent
DATA = Path(__file__).parents[1] / "data"
FACTS = json.loads((DATA / "reference.json").read_text(encoding="utf-8"))
EVENT_FACTS = json.loads((DATA / "events.json").read_text(encoding="utf-8"))


@cache
def page(name: str) -> str:
    """A page of the reference, made once."""
    return REFERENCE[name]()


def section(name: str, of: str) -> str:
    """The description of one name on a page."""
    text = page(of)
    (begin,) = [
        match.start() for match in re.finditer(rf"^:+{{py:\w+}} {re.escape(name)}(?=[(\n ])", text, re.MULTILINE)
    ]
    fence = text[begin : text.index("{", begin)]
    return text[begin : text.index(f"\n{fence}\n", begin)]


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.operation)
def test_endpoint(row: Any) -> None:
    """An endpoint stands under the method that calls it: with request, parameters, body, result and errors."""
    (call,) = [call for call in endpoints.calls() if row in call.rows]
    text = section(f"pinwheel_async.endpoints.{call.function.__qualname__}", "endpoints")

    wanted = [f"`{row.method} {row.path}`", f"`{row.operation}`", *(f"`{name}`" for name in row.query)]
    wanted += [kind.__name__ for kind in (row.body, row.result, row.meta) if kind is not None]
    assert [] == [fact for fact in [*wanted, *endpoints.raised_by(row)] if fact not in text]
    assert ("yes" if row.repeatable else "only if") in text.partition("| repeated |")[2].splitlines()[0]


def test_recorded_endpoints() -> None:
    """Every endpoint that was recorded is on the page, with its parameters, and none that was not."""
    recorded = [*FACTS["endpoints"], *FACTS["legacy"]["endpoints"]]
    text = page("endpoints")
    shown = set(re.findall(r"^\| `([A-Z]+ /[^`]+)` \|", text, re.MULTILINE))

    assert {f"{fact['method']} {fact['path']}" for fact in recorded} == shown


async def test_errors_by_status() -> None:
    """A reply with any status raises what the page names for this status."""
    lines = page("endpoints").partition("*Repeated*")[0]
    async with FakePinwheel(accounts=1) as fake:
        retry = RetryPolicy(attempts=1)
        async with Pinwheel(fake.api_secret, base_url=fake.base_url, retry=retry) as pinwheel:
            for status in (400, 401, 403, 404, 409, 418, 422, 500, 503, 429):
                fake.script(Fault(status=status, retry_after_s=0), operation="get_account")
                with pytest.raises(ApiError) as caught:
                    await pinwheel.accounts.get(fake.world.account_id(0))
                shown = "5xx" if status >= 500 else "another status" if status == 418 else str(status)

                assert re.search(rf"`{type(caught.value).__name__}` \([^)]*{shown}[^)]*\)", lines), status


@pytest.mark.parametrize("name", EVENTS)
def test_event(name: str) -> None:
    """An event stands with its class, its job, what it announces, and every field of its own."""
    kind = EVENTS[name]
    text = section(f"pinwheel_async.events.{kind.__name__}", "events")

    assert f"Event: `{name}`" in text
    assert [] == [product for product in kind.PRODUCTS if f"`{product}`" not in text.partition("Announces:")[2]]
    assert [] == [field for field in _source.fields_of(kind) if f"`{field}`" not in text and field.islower()]
    (row,) = [line for line in page("events").splitlines() if line.startswith(f"| `{name}` |")]
    assert (f"`{kind.JOB}`" in row) == (kind.JOB is not None)


def test_recorded_events() -> None:
    """Every event that was recorded is on the page, and none that was not."""
    events = page("events").partition("\nNames that the API's guides use")[0]

    assert set(EVENT_FACTS["events"]) == set(re.findall(r"^\| `([^`]+)` \|", events, re.MULTILINE))


MODELS = [
    name
    for name, value in _names.described().items()
    if name.startswith("pinwheel_async.models.") and isinstance(value, type)
]


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    """A model stands with every field of its own: type, meaning, and the unit of what is measured."""
    kind = _names.described()[name]
    text = section(name, "models")
    for field in _source.fields_of(kind).values():
        if field.name.startswith("_") or "ClassVar" in field.type or not field.type:
            continue
        (entry,) = re.findall(rf"^`{field.name}`: (.*\n: (?:.*\n?)(?:\n?  .*\n?)*)", text, re.MULTILINE)

        assert re.findall(r"\w+", field.type.replace("'", "").replace('"', ""))[0] in entry
        assert ("minor units of the currency" in entry) == ("MinorUnits" in field.type), field.name


@pytest.mark.parametrize("table", [*METADATA.sorted_tables, *VIEWS.sorted_tables], ids=lambda table: table.name)
def test_table(table: Any) -> None:
    """A table or view stands with every column, its types on both databases, and the meaning of what is data."""
    text = page("tables").partition(f"### `{table.name}`\n")[2].partition("\n### ")[0]
    rows = {line.split(" | ")[0].strip("| `"): line for line in text.splitlines() if line.startswith("| `")}

    assert list(rows) == [column.name for column in table.columns]
    for column in table.columns:
        if not table.name.startswith("pinwheel_"):
            assert rows[column.name].split(" | ")[-1].strip(" |"), column.name
        assert ("**Key.**" in rows[column.name]) == column.primary_key


def test_commands() -> None:
    """Every command and sub-command stands with every option."""
    text = page("command-line")
    missing = []
    for names, command in _commands(app):
        heading = f"pinwheel-async {' '.join(names)}"
        part = re.split(rf"^#+ `?{re.escape(heading)}`?$", text, maxsplit=1, flags=re.MULTILINE)
        if len(part) != 2:
            missing.append(heading)
            continue
        body = re.split(r"^#+ `?pinwheel-async", part[1], maxsplit=1, flags=re.MULTILINE)[0]
        arguments = command.assemble_argument_collection(parse_docstring=False)
        missing += [f"{heading} {found.name}" for found in arguments if found.show and found.name not in body]

    assert [] == missing


def test_settings() -> None:
    """Every argument of what is configured stands with its default, and says what it means."""
    text = page("settings")
    for name, value in settings.CONFIGURED:
        part = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for argument in _source.arguments_of(value):
            (row,) = [line for line in part.splitlines() if line.startswith(f"| `{argument.name}` |")]
            assert argument.doc, f"{name}({argument.name}=)"
            assert " ".join(argument.default.split()) in row.replace("\\|", "|")


def test_variables() -> None:
    """Every variable of the environment that the source reads stands on the page."""
    read = set()
    for file in PACKAGE.rglob("*.py"):
        if "docs" not in file.relative_to(PACKAGE).parts:
            text = file.read_text(encoding="utf-8")
            read |= set(re.findall(r"environ(?:\.get)?[\[(]\"([A-Z_]+)\"", text))
            read |= set(re.findall(r"_VARIABLE = \"([A-Z_]+)\"", text))

    assert {"PINWHEEL_API_SECRET", "PINWHEEL_INBOX_KEY"} <= read
    assert [] == [name for name in read if f"`{name}`" not in page("settings")]


def test_log_events() -> None:
    """Every call of a logger in the source is on the page of log events."""
    found = {event.place.rpartition(":")[0] for event in logs.log_events()}
    text = page("logs")
    calls = 0
    for file in PACKAGE.rglob("*.py"):
        place = file.relative_to(PACKAGE).as_posix()
        tree = ast.parse(source) if "getLogger" in (source := file.read_text(encoding="utf-8")) else ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"(logger|_log|_AUDIT)\.(debug|info|warning|error|exception|log)", ast.unparse(node.func)
            ):
                calls += 1
                assert place in found, f"{place}:{node.lineno}"

    assert calls > 40
    assert [] == [event.message for event in logs.log_events() if event.message not in text]


def test_metrics() -> None:
    """Every field of what is measured stands with its meaning."""
    text = page("metrics")

    for kind, _ in metrics.MEASURED:
        part = text.partition(f"## {kind.__name__}\n")[2].partition("\n## ")[0]
        names = [name for name in _source.all_fields_of(kind) if not name.startswith("_")]
        assert names
        assert [] == [name for name in names if f"| `{name}` |" not in part]


def test_metrics_of_a_receiver() -> None:
    """Every metric that a receiver shows stands with its meaning."""
    shown = Receiver(Router(), ["secret"]).metrics(Health(status="ok", waiting=0, claimed=0, dead=0))

    assert shown
    assert [] == [metric.name for metric in shown if f"| `{metric.name}` | {metric.kind} |" not in page("metrics")]


def test_hooks() -> None:
    """Every function of the user's that is taken as `on_...` stands among the hooks."""
    text = page("metrics").partition("## Spans")[0]
    found = {argument.name for _, value in settings.CONFIGURED for argument in _source.arguments_of(value)}

    assert [] == [name for name in found if name.startswith("on_") and f"{name}=" not in text]


def test_exceptions() -> None:
    """Every exception stands with what it knows."""
    for name, value in _names.described().items():
        if name.count(".") == 1 and isinstance(value, type) and issubclass(value, BaseException):
            text = section(name, "exceptions")
            assert objects.prose_of(value).split("\n")[0].split("`")[0] in text


def test_signature_as_written() -> None:
    """A signature has the aliases that the source has, and not what they stand for."""
    signature = _source.signature_of(Pinwheel.snapshot)

    assert signature is not None
    assert "products: Collection[Product]=PRODUCTS" in signature[0]


def _commands(above: Any, names: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name in above:
        if not name.startswith("-"):
            command = above[name]
            below = _commands(command, (*names, name))
            found += below or [((*names, name), command)]
    return found


@pytest.mark.parametrize("name", _names.described())
def test_code_in_docstrings(name: str) -> None:
    """Python in the docstring of a public class, function or method can be compiled."""
    value = _names.described()[name]
    members = vars(value).values() if isinstance(value, type) else ()
    docs = [
        inspect.getdoc(found) or ""
        for found in (value, *members)
        if isinstance(found, type) or inspect.isroutine(found)
    ]
    for code in re.findall(r"^\s*```python\n(.*?)^\s*```$", "\n".join(docs), re.MULTILINE | re.DOTALL):
        compile(textwrap.dedent(code), name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
