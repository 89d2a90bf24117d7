"""Parts that the pages of the inspector share: the frame around them, counts, tables, forms, states and moments."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pinwheel_async.webhooks._inbox.base import Counts
from pinwheel_async.webhooks._inspector.auth import Visitor
from pinwheel_async.webhooks._inspector.html import Child, Html, joined, tag
from pinwheel_async.webhooks._inspector.view import View


def document(title: str, visitor: Visitor | None, *body: Child, here: str = "") -> Html:
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


def counts_list(counts: Counts, *, is_live: bool) -> Html:
    oldest = "none waits" if counts.oldest_waiting_s is None else duration(counts.oldest_waiting_s)
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
    return tag("section", tag("dl", *parts, id="counts", class_="counts", data_live=is_live), aria_label="Inbox")


def action_form(action: str, text: str, view: View, visitor: Visitor, *, class_: str | None = None) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="csrf", value=visitor.csrf_token),
        tag("button", text, class_=class_),
        method="post",
        action=view.href(action),
    )


def account_link(account: str, *, whole: bool = False) -> Html:
    text = account if whole else short(account)
    return tag("a", tag("code", text), href=View(account=account).href(), title=account, class_="account")


def badge(state: str) -> Html:
    return tag("span", state, class_=f"badge {state}")


def moment(unix_s: float) -> Html:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return tag("time", f"{moment:%Y-%m-%d %H:%M:%S}", datetime=f"{moment:%Y-%m-%dT%H:%M:%SZ}")


def short(account: str) -> str:
    """Return an id so that it can be told from others in a list."""
    return account if len(account) <= 13 else f"{account[:8]}…{account[-4:]}"


def duration(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def wide_table(name: str, labelled_by: str, heads: Sequence[str], rows: Sequence[Html]) -> Html:
    """Return a table that a telephone shows as a list of blocks.

    Args:
        name: Its class, by which the style knows what stands where.
        labelled_by: Id of its title.
        heads: Titles of the columns.
        rows: What `wide_row` has made.
    """
    # With roles, as what is shown as a block is no row or cell to a screen reader any more.
    head = tag("tr", *[tag("th", text, scope="col", role="columnheader") for text in heads], role="row")
    return tag(
        "table",
        tag("thead", head, role="rowgroup"),
        tag("tbody", *rows, role="rowgroup"),
        class_=f"wide {name}",
        role="table",
        aria_labelledby=labelled_by,
    )


def wide_row(cells: Sequence[tuple[str, Child]], *, is_chosen: bool = False) -> Html:
    """Return a row of such a table: pairs of the class of a cell, and what is in it."""
    made = [tag("td", content, class_=name, role="cell") for name, content in cells]
    return tag("tr", *made, role="row", class_="chosen" if is_chosen else None)
