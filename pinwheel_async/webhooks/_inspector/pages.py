"""Pages of the inspector: what they look like, from what was read."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from attrs import field, frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.webhooks._inbox.base import STATES, Counts, Entry
from pinwheel_async.webhooks._inspector.auth import Visitor
from pinwheel_async.webhooks._inspector.fields import Revealed, masked_fields
from pinwheel_async.webhooks._inspector.html import Child, Html, joined, tag
from pinwheel_async.webhooks._inspector.view import MAX_PAGE, View

SAID: Mapping[str, str] = {
    "revive": "Revived: it waits to be handled again.",
    "replay": "It waits to be handled again, by all handlers.",
    "forget": "Forgotten.",
    "nothing": "Nothing was changed: its state is another by now.",
}
"""What is said of an action, by the word for it in the URL."""


@frozen(kw_only=True, repr=False)
class Shown(Discreet):
    """One delivery, and what may be done with it."""

    entry: Entry
    can_replay: bool = False
    can_reveal: bool = False
    revealed: Revealed | None = None
    """What its body holds, where somebody has just revealed it."""


@frozen(kw_only=True, repr=False)
class Listing(Discreet):
    """What the page with the deliveries shows."""

    view: View
    counts: Counts
    entries: Sequence[Entry] = ()
    more: bool = False
    """Whether there are older ones."""
    shown: Shown | None = None
    problem: str | None = field(default=None)
    """What is wrong with the filters."""


def login_page(*, by_token: bool, problem: str | None = None, following: str = "") -> Html:
    """Return the page on which one logs in; without a token there is nothing to be given here."""
    if not by_token:
        return _document("Not allowed", None, tag("main", tag("h1", "Not allowed"), tag("p", _ELSEWHERE)))
    form = tag(
        "form",
        tag("label", "Token", for_="token"),
        tag("input", id="token", name="token", type="password", autocomplete="current-password", required=True),
        tag("input", type="hidden", name="following", value=following),
        tag("button", "Log in", class_="main"),
        method="post",
        action="login",
    )
    alert = tag("p", problem, class_="problem", role="alert") if problem else None
    return _document("Log in", None, tag("main", tag("h1", "Webhook inspector"), alert, form, class_="narrow"))


_ELSEWHERE = "You may not see the inspector. Log in to the application that it is part of, and open this page again."


def problem_page(title: str, text: str, visitor: Visitor | None = None) -> Html:
    """Return a page that says what is wrong."""
    back = tag("p", tag("a", "Back to the deliveries", href="./"))
    return _document(title, visitor, tag("main", tag("h1", title), tag("p", text, role="alert"), back, class_="narrow"))


def deliveries_page(listing: Listing, visitor: Visitor) -> Html:
    """Return the page with the deliveries, and beside them the one that is shown."""
    view, shown = listing.view, listing.shown
    is_live = shown is None or shown.revealed is None
    title = "Deliveries" if shown is None else f"{shown.entry.event or 'Delivery'} ({shown.entry.state})"
    list_ = tag(
        "section",
        tag("h2", "Deliveries", id="list-title"),
        _filters(view, listing.problem),
        tag("div", _table(listing), _paging(listing), id="list", data_live=is_live),
        class_="list",
        aria_labelledby="list-title",
    )
    if shown is not None:
        detail: Html | None = _detail(view, shown, visitor, is_live=is_live)
    elif view.id:
        detail = tag("section", tag("p", "This delivery is not stored: it was forgotten."), class_="detail")
    else:
        detail = None
    main = tag(
        "main", _notice(view), tag("div", list_, detail, class_="columns chosen" if detail else "columns"), id="main"
    )
    return _document(title, visitor, _counts(listing.counts, is_live=is_live), main, here="deliveries")


def accounts_page(counts: Counts, entries: Sequence[Entry], visitor: Visitor, *, more: bool) -> Html:
    """Return the page with a row for each account, with its events in the order in which they came."""
    by_account: dict[str, list[Entry]] = {}
    for entry in entries:  # the newest first, and so are the accounts
        by_account.setdefault(entry.ordering_key, []).insert(0, entry)
    rows = [
        tag(
            "tr",
            tag("th", _account_link(account), scope="row"),
            tag("td", len(found), class_="number"),
            tag("td", _moment(found[-1].received_at)),
            tag("td", tag("ol", *[_step(list(same)) for _, same in _runs(found)], class_="steps")),
        )
        for account, found in by_account.items()
    ]
    heads = [tag("th", text, scope="col") for text in ("Account", "Deliveries", "Last (UTC)", "Events, in order")]
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), aria_labelledby="accounts-title")
    newest = f"Of the newest {len(entries):,} deliveries; older ones are left out." if more else None
    main = tag(
        "main",
        tag("h2", "Accounts", id="accounts-title"),
        tag("p", newest, class_="quiet") if newest else None,
        tag("div", table if rows else tag("p", "Nothing is stored."), id="list", data_live=True, class_="scroll"),
        id="main",
        class_="accounts",
    )
    return _document("Accounts", visitor, _counts(counts, is_live=True), main, here="accounts")


def forget_page(view: View, entry: Entry, visitor: Visitor) -> Html:
    """Return the page that asks whether a delivery is to be forgotten."""
    warning = (
        "It has not been handled: nobody will handle it, and it cannot be brought back."
        if entry.state in {"waiting", "claimed", "dead"}
        else "It cannot be brought back."
    )
    main = tag(
        "main",
        tag("h1", "Forget this delivery?"),
        tag("p", tag("strong", entry.event or "without a name"), " ", tag("code", entry.event_id)),
        tag("p", warning, " If it comes again, it is taken for new."),
        _form("forget", "Forget it for good", view, visitor, class_="danger"),
        tag("p", tag("a", "Keep it", href=view.href())),
        class_="narrow",
    )
    return _document("Forget a delivery", visitor, main)


def _document(title: str, visitor: Visitor | None, *body: Child, here: str = "") -> Html:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} - webhook inspector"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="style.css"),
        tag("script", src="inspector.js", defer=True) if here else None,
    )
    skip = tag("a", "To the content", href="#main", class_="skip") if here else None
    content = tag("body", skip, _header(visitor, here) if visitor and here else None, *body)
    return joined([Html("<!doctype html>"), tag("html", head, content, lang="en")])


def _header(visitor: Visitor, here: str) -> Html:
    pages = (("deliveries", "./", "Deliveries"), ("accounts", "accounts", "Accounts"))
    links = [tag("a", text, href=href, aria_current="page" if name == here else None) for name, href, text in pages]
    leave = None
    if visitor.has_session:
        leave = tag(
            "form",
            tag("input", type="hidden", name="csrf", value=visitor.csrf_token),
            tag("button", "Log out", class_="quiet"),
            method="post",
            action="logout",
        )
    return tag(
        "header",
        tag("h1", "Webhook inspector"),
        tag("nav", *links, aria_label="Pages"),
        tag("div", tag("p", id="live", role="status", class_="quiet"), leave, class_="tools"),
    )


def _counts(counts: Counts, *, is_live: bool) -> Html:
    oldest = "none waits" if counts.oldest_waiting_s is None else _duration(counts.oldest_waiting_s)
    facts = [
        ("Waiting", f"{counts.waiting:,}", "waiting"),
        ("Claimed", f"{counts.claimed:,}", "claimed"),
        ("Dead", f"{counts.dead:,}", "dead" if counts.dead else ""),
        ("Done", f"{counts.done:,}", "done"),
        ("Oldest waiting", oldest, ""),
    ]
    parts = [
        tag("div", tag("dt", name), tag("dd", value, class_=f"count-{kind}" if kind else None))
        for name, value, kind in facts
    ]
    return tag("dl", *parts, id="counts", class_="counts", data_live=is_live, aria_label="Inbox")


def _notice(view: View) -> Html | None:
    text = SAID.get(view.said)
    return tag("p", text, role="status", class_="notice") if text else None


def _filters(view: View, problem: str | None) -> Html:
    options = [tag("option", "any", value="")]
    options += [tag("option", state, value=state, selected=view.state == state) for state in STATES]
    fields = [
        tag("div", tag("label", "State", for_="state"), tag("select", *options, id="state", name="state")),
        _field("event", "Event", view.event, "paystubs.added or paystubs.*"),
        _field("account", "Account", view.account, "id"),
        tag(
            "div",
            tag("label", "Came before (UTC)", for_="before"),
            tag("input", id="before", name="before", type="datetime-local", step=1, value=view.before or None),
        ),
    ]
    clear = tag("a", "Show all", href="./") if view.is_filtered else None
    alert = tag("p", problem, class_="problem", role="alert") if problem else None
    buttons = tag("div", tag("button", "Filter"), " ", clear, class_="buttons")
    form = tag(
        "form", *fields, buttons, method="get", action="./", class_="filters", role="search", aria_label="Filters"
    )
    # A telephone has no room for four fields above the list; what is filtered by stays open to be seen.
    return joined([alert, tag("details", tag("summary", "Filters"), form, open=True if view.is_filtered else None)])


def _field(name: str, label: str, value: str, hint: str) -> Html:
    given = tag("input", id=name, name=name, value=value, placeholder=hint, spellcheck="false", autocomplete="off")
    return tag("div", tag("label", label, for_=name), given)


def _table(listing: Listing) -> Html:
    if not listing.entries:
        return tag("p", "No delivery fits these filters." if listing.view.is_filtered else "Nothing is stored yet.")
    heads = ("Event", "State", "Arrived (UTC)", "Attempts", "Account")
    # With roles, as a telephone shows the rows as blocks, which would be no table to a screen reader then.
    head = tag("tr", *[tag("th", text, scope="col", role="columnheader") for text in heads], role="row")
    rows = [_row(listing.view, entry) for entry in listing.entries]
    return tag(
        "table",
        tag("thead", head, role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        class_="deliveries",
        role="table",
        aria_labelledby="list-title",
    )


def _row(view: View, entry: Entry) -> Html:
    is_chosen = view.id == entry.event_id
    link = tag(
        "a",
        entry.event or "without a name",
        href=view.href(id=entry.event_id) + "#detail",
        aria_current="true" if is_chosen else None,
    )
    attempts = tag("span", "Attempts ", class_="label")
    cells = (
        ("event", link),
        ("state", _state(entry.state)),
        ("arrived", _moment(entry.received_at)),
        ("attempts", joined([attempts, entry.attempts])),
        ("account", tag("span", short(entry.ordering_key), title=entry.ordering_key)),
    )
    return tag(
        "tr",
        *[tag("td", content, class_=name, role="cell") for name, content in cells],
        role="row",
        class_="chosen" if is_chosen else None,
    )


def _paging(listing: Listing) -> Html | None:
    view = listing.view
    links: list[Child] = []
    if view.page > 1:
        links += [tag("a", "Newer", href=view.href(page=view.page - 1, id=""), rel="prev"), f" Page {view.page} "]
    if listing.more and view.page < MAX_PAGE:
        links.append(tag("a", "Older", href=view.href(page=view.page + 1, id=""), rel="next"))
    elif listing.more:
        # A second more, so that what came in the same one is not left out.
        oldest = datetime.fromtimestamp(int(listing.entries[-1].received_at) + 1, UTC).replace(tzinfo=None)
        links.append(tag("a", "Older", href=view.href(page=1, id="", before=oldest.isoformat()), rel="next"))
    return tag("nav", *links, class_="paging", aria_label="Pages of deliveries") if links else None


def _detail(view: View, shown: Shown, visitor: Visitor, *, is_live: bool) -> Html:
    entry = shown.entry
    facts: list[tuple[str, Child]] = [
        ("State", _state(entry.state)),
        ("Event id", tag("code", entry.event_id)),
        ("Account", _account_link(entry.ordering_key, whole=True)),
        ("Arrived (UTC)", _moment(entry.received_at)),
        ("Attempts", entry.attempts),
    ]
    if entry.interrupted:
        facts.append(("Interrupted", f"{entry.interrupted} times the process ended meanwhile"))
    body = [
        tag("dl", *[tag("div", tag("dt", name), tag("dd", value)) for name, value in facts], class_="facts"),
        tag("div", *_actions(view, shown, visitor), class_="actions"),
        *_failure(entry),
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


def _actions(view: View, shown: Shown, visitor: Visitor) -> list[Child]:
    found: list[Child] = []
    if shown.entry.state == "dead":
        found.append(_form("revive", "Revive", view, visitor, class_="main"))
    if shown.can_replay:
        found.append(_form("replay", "Run again", view, visitor))
    found.append(tag("a", "Forget …", href=view.href("forget"), class_="button"))
    return found


def _failure(entry: Entry) -> list[Child]:
    if not entry.reason:
        return []
    title = "Why it is dead" if entry.state == "dead" else "Why it failed last"
    parts: list[Child] = [tag("h3", title)]
    for name, lines in failures(entry.reason):
        if name:
            parts.append(tag("h4", "Handler ", tag("code", name)))
        parts.append(tag("ol", *[tag("li", tag("code", line)) for line in lines], class_="stack"))
    return parts


_HANDLER = re.compile(r"; (?=[\w.<>]+: )")
_NAME = re.compile(r"([\w.<>]+): (.+)", re.DOTALL)
_LINE = re.compile(r" at (?=[\w.<>]+ \()| > |(?<=\)), (?=from |while handling )|(?<=\w), (?=from |while handling )")


def failures(reason: str) -> list[tuple[str, list[str]]]:
    """Return the failures of a reason: name of the handler, if one failed, and the lines of its error chain."""
    found: list[tuple[str, list[str]]] = []
    for failure in _HANDLER.split(reason):
        named = _NAME.fullmatch(failure)
        name, chain = (named[1], named[2]) if named else ("", failure)
        found.append((name, [line for line in _LINE.split(chain) if line]))
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
            parts.append(_form("reveal", "Reveal the values", view, visitor))
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
    body = [tag("tr", tag("th", tag("code", path), scope="row"), tag("td", value)) for path, value in rows]
    return tag("table", tag("thead", heads), tag("tbody", *body), class_="fields", aria_labelledby="fields")


def _form(action: str, text: str, view: View, visitor: Visitor, *, class_: str | None = None) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="csrf", value=visitor.csrf_token),
        tag("button", text, class_=class_),
        method="post",
        action=view.href(action),
    )


def _runs(entries: Sequence[Entry]) -> "groupby[tuple[str, str], Entry]":
    """Group what follows one another with the same event and state."""
    return groupby(entries, key=lambda entry: (entry.event, entry.state))


def _step(same: Sequence[Entry]) -> Html:
    entry = same[-1]
    times = f" ({len(same)} times)" if len(same) > 1 else ""
    href = View(id=entry.event_id).href()
    return tag("li", tag("a", (entry.event or "without a name") + times, href=href), " ", _state(entry.state))


def _account_link(account: str, *, whole: bool = False) -> Html:
    text = account if whole else short(account)
    return tag("a", tag("code", text), href=View(account=account).href(), title=account, class_="account")


def _state(state: str) -> Html:
    return tag("span", state, class_=f"badge {state}")


def _moment(unix_s: float) -> Html:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return tag("time", f"{moment:%Y-%m-%d %H:%M:%S}", datetime=f"{moment:%Y-%m-%dT%H:%M:%SZ}")


def short(account: str) -> str:
    """Return an id so that it can be told from others in a list."""
    return account if len(account) <= 13 else f"{account[:8]}…{account[-4:]}"


def _duration(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
