"""Pages of the events: those of webhooks, and those of the Link dialog."""

from pinwheel_async import events
from pinwheel_async.docs import _names
from pinwheel_async.docs._reference.markdown import code, codes, table
from pinwheel_async.docs._reference.objects import describe, prose_of
from pinwheel_async.events import ALIASES, EVENTS, Event
from pinwheel_async.link import LINK_EVENTS

_INTRODUCTION = """# Events

A class for each of the {count} events that webhooks bring, in `pinwheel_async.events`, and one for each family:
`@router.on(PaystubsFullySynced)` is called with this event, `@router.on(PaystubsEvent)` with all about paystubs, and
`@router.on(Event)` with every event. *Announces* says which products of the account have something new to be fetched:
what `Mirror` reads again. *Job* is the value of `name` of a `JobEvent`.

```text
{tree}
```

"""

_LINK = """# Events of Link

What the Link dialog tells the page in the browser, in `pinwheel_async.link`: `parse_link_event(name, payload)` makes an
object of what your page passes on. Trust none of it: a browser can send anything. What counts comes by webhook.

"""


def events_page() -> str:
    """Return the page of the webhooks' events."""
    tree = (events.__doc__ or "").split("```")[1].strip("\n")
    rows = [
        [
            code(name),
            f"{{py:class}}`~pinwheel_async.events.{kind.__name__}`",
            codes(kind.PRODUCTS) or "-",
            code(kind.JOB or "") or "-",
            first_sentence(kind),
        ]
        for name, kind in sorted(EVENTS.items())
    ]
    parts = [
        _INTRODUCTION.format(count=len(EVENTS), tree=tree),
        table(["event", "class", "announces", "job", "meaning"], rows),
        "\nNames that the API's guides use for events, and what the API calls them:\n\n",
        table(["in guides", "on the wire"], [[code(guide), code(name)] for guide, name in sorted(ALIASES.items())]),
        "\n## Classes\n",
    ]
    for name, value in _names.described().items():
        if name.startswith("pinwheel_async.events."):
            parts.append(describe(name, value, extra=_facts(value)))
    return "\n".join(parts)


def link_events_page() -> str:
    """Return the page of the events of Link."""
    rows = [
        [code(name), f"{{py:class}}`~pinwheel_async.link.{kind.__name__}`", first_sentence(kind)]
        for name, kind in LINK_EVENTS.items()
    ]
    parts = [_LINK, table(["event", "class", "meaning"], rows), "\n## Classes\n"]
    for name, value in _names.described().items():
        if name.startswith("pinwheel_async.link."):
            parts.append(describe(name, value))
    return "\n".join(parts)


def first_sentence(kind: type) -> str:
    """Return the first sentence of a docstring."""
    text = " ".join(prose_of(kind).split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".:") + "."


def _facts(kind: object) -> str:
    if not (isinstance(kind, type) and issubclass(kind, Event) and kind.NAME):
        return ""
    facts = [f"Event: `{kind.NAME}`."]
    if kind.PRODUCTS:
        facts.append(f"Announces: {codes(kind.PRODUCTS)}.")
    if kind.JOB:
        facts.append(f"Job: `{kind.JOB}`.")
    return " ".join(facts)
