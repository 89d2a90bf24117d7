"""Pages of the inspector: what they look like, from what was read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from attrs import frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.webhooks._inbox.base import STATES, Counts, Entry
from pinwheel_async.webhooks._inspector.auth import Visitor
from pinwheel_async.webhooks._inspector.delivery import Shown, delivery_section
from pinwheel_async.webhooks._inspector.html import Child, Html, breakable, joined, tag
from pinwheel_async.webhooks._inspector.layout import (
    account_link,
    action_form,
    badge,
    counts_list,
    document,
    moment,
    short,
    wide_row,
    wide_table,
)
from pinwheel_async.webhooks._inspector.view import MAX_PAGE, View
from pinwheel_async.webhooks._readiness.state import AccountReadiness

SAID: Mapping[str, str] = {
    "revive": "Revived: it waits to be handled again.",
    "replay": "It waits to be handled again, by all handlers.",
    "forget": "Forgotten.",
    "nothing": "Nothing was changed: its state is another by now.",
}
"""What is said of an action, by the word for it in the URL."""


_BADGES: Mapping[str, str] = {
    "failed": "dead",
    "waiting": "waiting",
    "in_progress": "waiting",
    "pending": "waiting",
    "succeeded": "done",
    "unsupported": "quiet",
}
"""Statuses of products, in the order in which they are shown, and the state of a delivery whose colour they have."""


@frozen(kw_only=True, repr=False)
class Listing(Discreet):
    """What the page with the deliveries shows."""

    view: View
    counts: Counts
    entries: Sequence[Entry] = ()
    more: bool = False
    """Whether there are older ones."""
    shown: Shown | None = None
    problem: str | None = None
    """What is wrong with the filters."""


def login_page(*, by_token: bool, problem: str | None = None, following: str = "") -> Html:
    """Return the page on which one logs in; without a token there is nothing to be given here."""
    if not by_token:
        return document("Not allowed", None, tag("main", tag("h1", "Not allowed"), tag("p", _ELSEWHERE)))
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
    return document("Log in", None, tag("main", tag("h1", "Webhook inspector"), alert, form, class_="narrow"))


_ELSEWHERE = "You may not see the inspector. Log in to the application that it is part of, and open this page again."


def problem_page(title: str, text: str, visitor: Visitor | None = None) -> Html:
    """Return a page that says what is wrong."""
    back = tag("p", tag("a", "Back to the deliveries", href="./"))
    return document(title, visitor, tag("main", tag("h1", title), tag("p", text, role="alert"), back, class_="narrow"))


def deliveries_page(listing: Listing, visitor: Visitor) -> Html:
    """Return the page with the deliveries, and beside them the one that is shown."""
    view, shown = listing.view, listing.shown
    is_live = shown is None or shown.revealed is None
    title = "Deliveries" if shown is None else shown.entry.event or "Delivery"
    list_ = tag(
        "section",
        tag("h2", "Deliveries", id="list-title"),
        _filters(view, listing.problem),
        tag("div", _table(listing), _paging(listing), id="list", data_live=is_live),
        class_="list",
        aria_labelledby="list-title",
    )
    if shown is not None:
        detail: Html | None = delivery_section(view, shown, visitor, is_live=is_live)
    elif view.id:
        detail = tag("section", tag("p", "This delivery is not stored: it was forgotten."), class_="detail")
    else:
        detail = None
    main = tag(
        "main", _notice(view), tag("div", list_, detail, class_="columns chosen" if detail else "columns"), id="main"
    )
    return document(title, visitor, counts_list(listing.counts, is_live=is_live), main, here="deliveries")


def accounts_page(
    counts: Counts,
    entries: Sequence[Entry],
    visitor: Visitor,
    *,
    more: bool,
    readiness: Mapping[str, AccountReadiness] | None = None,
) -> Html:
    """Return the page with a row for each account, with its events in the order in which they came.

    Args:
        counts: Deliveries by state.
        entries: The newest deliveries.
        visitor: Who looks.
        more: Whether there are more deliveries.
        readiness: Readiness of some accounts; null if nobody notes it.
    """
    by_account: dict[str, list[Entry]] = {}
    for entry in entries:  # the newest first, and so are the accounts
        by_account.setdefault(entry.ordering_key, []).insert(0, entry)
    rows = [
        wide_row(
            (
                ("account", account_link(account)),
                ("number", joined([tag("span", "Deliveries ", class_="label"), len(found)])),
                ("arrived", moment(found[-1].received_at)),
                *([] if readiness is None else [("products", _products(readiness.get(account)))]),
                ("events", tag("ol", *[_step(list(same)) for _, same in _runs(found)], class_="steps")),
            )
        )
        for account, found in by_account.items()
    ]
    products = () if readiness is None else ("Products",)
    heads = ("Account", "Deliveries", "Last (UTC)", *products, "Events, in order")
    table = wide_table("accounts", "accounts-title", heads, rows)
    newest = f"Of the newest {len(entries):,} deliveries; older ones are left out." if more else None
    main = tag(
        "main",
        tag("h2", "Accounts", id="accounts-title"),
        tag("p", newest, class_="quiet") if newest else None,
        tag("div", table if rows else tag("p", "Nothing is stored."), id="list", data_live=True),
        id="main",
    )
    return document("Accounts", visitor, counts_list(counts, is_live=True), main, here="accounts")


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
        action_form("forget", "Forget it for good", view, visitor, class_="danger"),
        tag("p", tag("a", "Keep it", href=view.href())),
        class_="narrow",
    )
    return document("Forget a delivery", visitor, main)


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
    rows = [_row(listing.view, entry) for entry in listing.entries]
    return wide_table("deliveries", "list-title", heads, rows)


def _row(view: View, entry: Entry) -> Html:
    is_chosen = view.id == entry.event_id
    link = tag(
        "a",
        breakable(entry.event or "without a name"),
        href=view.href(id=entry.event_id) + "#detail",
        aria_current="true" if is_chosen else None,
    )
    attempts = tag("span", "Attempts ", class_="label")
    cells = (
        ("event", link),
        ("state", badge(entry.state)),
        ("arrived", moment(entry.received_at)),
        ("attempts", joined([attempts, entry.attempts])),
        ("account", tag("span", short(entry.ordering_key), title=entry.ordering_key)),
    )
    return wide_row(cells, is_chosen=is_chosen)


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


def _products(readiness: AccountReadiness | None) -> Html:
    """Return the products of an account by status."""
    heard = (
        [] if readiness is None else [readiness.added_at, *[each.updated_at for each in readiness.products.values()]]
    )
    if readiness is None or not any(heard):
        return tag("span", "nothing known", class_="quiet")
    by_status: dict[str, list[str]] = {}
    for name, product in readiness.products.items():
        by_status.setdefault(product.status, []).append(name.replace("_", " "))
    items = [
        tag("li", tag("span", status.replace("_", " "), class_=f"badge {_BADGES[status]}"), " ", ", ".join(names))
        for status in _BADGES
        if (names := by_status.get(status))
    ]
    return tag("ul", *items, class_="products")


def _runs(entries: Sequence[Entry]) -> "groupby[tuple[str, str], Entry]":
    """Group what follows one another with the same event and state."""
    return groupby(entries, key=lambda entry: (entry.event, entry.state))


def _step(same: Sequence[Entry]) -> Html:
    entry = same[-1]
    times = f" ({len(same)} times)" if len(same) > 1 else ""
    href = View(id=entry.event_id).href()
    return tag("li", tag("a", breakable((entry.event or "without a name") + times), href=href), " ", badge(entry.state))
