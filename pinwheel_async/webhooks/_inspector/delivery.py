"""Part of the page that shows one delivery: its state, what may be done with it, its failures, and its fields."""

import re
from collections.abc import Sequence

from attrs import frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.webhooks._inbox.base import DeliveryProgress, Entry
from pinwheel_async.webhooks._inspector.auth import Visitor
from pinwheel_async.webhooks._inspector.fields import Revealed, masked_fields
from pinwheel_async.webhooks._inspector.html import Child, Html, breakable, tag
from pinwheel_async.webhooks._inspector.layout import account_link, action_form, badge, duration, moment
from pinwheel_async.webhooks._inspector.view import View


@frozen(kw_only=True, repr=False)
class Shown(Discreet):
    """One delivery, and what may be done with it."""

    entry: Entry
    progress: DeliveryProgress | None = None
    can_replay: bool = False
    can_reveal: bool = False
    revealed: Revealed | None = None
    """What its body holds, where somebody has just revealed it."""


def delivery_section(view: View, shown: Shown, visitor: Visitor, *, is_live: bool) -> Html:
    entry = shown.entry
    facts: list[tuple[str, Child]] = [
        ("State", badge(entry.state)),
        ("Event id", tag("code", entry.event_id)),
        ("Account", account_link(entry.ordering_key, whole=True)),
        ("Arrived (UTC)", moment(entry.received_at)),
        ("Attempts", entry.attempts),
    ]
    if shown.progress is not None and entry.state == "waiting":
        facts.append(("Next attempt", _due(shown.progress.due_in_s)))
    if entry.interrupted:
        facts.append(("Interrupted", f"{entry.interrupted} times the process ended meanwhile"))
    body = [
        tag("dl", *[tag("div", tag("dt", name), tag("dd", value)) for name, value in facts], class_="facts"),
        tag("div", *_actions(view, shown, visitor), class_="actions"),
        *_failure(entry),
        *_handlers(entry, shown.progress),
    ]
    return tag(
        "section",
        tag("p", tag("a", "Back to the deliveries", href=view.href(id="")), class_="back"),
        tag("h2", entry.event or "Without a name", id="detail", tabindex="-1"),
        tag("div", *body, id="delivery", data_live=is_live),
        *_fields(view, shown, visitor),
        class_="detail",
        aria_labelledby="detail",
    )


def _due(due_in_s: float | None) -> str:
    if due_in_s is None:
        return "after an earlier delivery of its account"
    return f"in {duration(due_in_s)}" if due_in_s >= 1 else "due now"


def _handlers(entry: Entry, progress: DeliveryProgress | None) -> list[Child]:
    """Say what each handler did, as far as it is known."""
    if entry.state == "done":
        return [tag("h3", "Handlers"), tag("p", "All that it was for have returned.")]
    if progress is None:
        return []
    did = dict.fromkeys(progress.returned, "returned, and does not run again")
    did |= {name: "failed once" if times == 1 else f"failed {times} times" for name, times in progress.failed.items()}
    if entry.state == "dead" and entry.reason:
        did |= {name: "failed, and has no attempt left" for name, _ in failures(entry.reason) if name}
    only = ", ".join(progress.only)
    if not did and not only:
        return []
    rows = [
        tag("tr", tag("th", tag("code", breakable(name)), scope="row"), tag("td", what)) for name, what in did.items()
    ]
    heads = tag("tr", tag("th", "Handler", scope="col"), tag("th", "What it did", scope="col"))
    table = tag("table", tag("thead", heads), tag("tbody", *rows), class_="fields", aria_labelledby="handlers")
    return [
        tag("h3", "Handlers", id="handlers"),
        tag("p", f"Replayed for these only: {only}.") if only else None,
        table if rows else None,
    ]


def _actions(view: View, shown: Shown, visitor: Visitor) -> list[Child]:
    found: list[Child] = []
    if shown.entry.state == "dead":
        found.append(action_form("revive", "Revive", view, visitor, class_="main"))
    if shown.can_replay:
        found.append(action_form("replay", "Run again", view, visitor))
    found.append(tag("a", "Forget …", href=view.href("forget"), class_="button"))
    return found


def _failure(entry: Entry) -> list[Child]:
    if not entry.reason:
        return []
    title = {"dead": "Why it is dead", "done": "Why it failed before"}.get(entry.state, "Why it failed last")
    parts: list[Child] = [tag("h3", title)]
    for name, lines in failures(entry.reason):
        if name:
            parts.append(tag("h4", "Handler ", tag("code", name)))
        parts.append(tag("ol", *[tag("li", tag("code", breakable(line))) for line in lines], class_="stack"))
    return parts


_HANDLER = re.compile(r"; (?=[\w.<>]+: )")

_NAME = re.compile(r"([\w.<>]+): ((?:timeout: |[\w.]+(?:$| \(| at | of \[|, )).*)", re.DOTALL)
"""A handler and its error chain; a part of the body that cannot be read looks like it, as `payload.id: not text`."""


_LINE = re.compile(r" at (?=[\w.<>]+ \()| > |(?<=\)), (?=from |while handling )|(?<=\w), (?=from |while handling )")


def failures(reason: str) -> list[tuple[str, list[str]]]:
    """Return the failures of a reason: name of the handler, if one failed, and the lines of its error chain."""
    found: list[tuple[str, list[str]]] = []
    for failure in _HANDLER.split(reason):
        named = _NAME.fullmatch(failure)
        found.append((named[1], _LINE.split(named[2])) if named else ("", [failure]))
    return found


def _fields(view: View, shown: Shown, visitor: Visitor) -> list[Child]:
    revealed = shown.revealed
    parts: list[Child] = [tag("h3", "Fields of the event", id="fields")]
    if revealed is None:
        masked = masked_fields(shown.entry.event)
        if not masked:
            parts.append(
                tag("p", "This version of the library does not know the fields of this event.", class_="quiet")
            )
        rows = [(masked_field.path, tag("span", masked_field.text, class_="masked")) for masked_field in masked]
        parts.append(_field_table(rows))
        if shown.can_reveal and visitor.may_reveal:
            parts.append(action_form("reveal", "Reveal the values", view, visitor))
            parts.append(tag("p", "This is payroll data. Who reveals it is recorded.", class_="quiet"))
        return parts
    parts.append(tag("p", "Revealed, and recorded. ", tag("a", "Mask them", href=view.href()), role="status"))
    parts += [tag("p", problem, class_="problem") for problem in revealed.problems]
    if revealed.text:
        parts.append(tag("pre", revealed.text, class_="body", tabindex="0"))
    parts.append(_field_table([(shown_field.path, tag("span", shown_field.text)) for shown_field in revealed.fields]))
    if revealed.left_out:
        parts.append(tag("p", f"{revealed.left_out:,} more fields are left out.", class_="quiet"))
    return parts


def _field_table(rows: Sequence[tuple[str, Html]]) -> Html | None:
    if not rows:
        return None
    heads = tag("tr", tag("th", "Field", scope="col"), tag("th", "Value", scope="col"))
    body = [tag("tr", tag("th", tag("code", breakable(path)), scope="row"), tag("td", value)) for path, value in rows]
    return tag("table", tag("thead", heads), tag("tbody", *body), class_="fields", aria_labelledby="fields")
