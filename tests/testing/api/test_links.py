"""The fake's links to files."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec
import pytest

from pinwheel_async.testing._api.links import LIFETIME, Links
from pinwheel_async.testing._world.pay import document

NOW = datetime(2026, 3, 17, tzinfo=UTC)


def token(links: Links, moment: datetime = NOW) -> str:
    """The token of the links in one answer."""
    body = links.complete(msgspec.json.encode([document("1", "a"), document("2", "b")]), moment)
    queries = {urlsplit(made["download_url"]).query for made in msgspec.json.decode(body)}
    (query,) = queries
    return query.removeprefix("token=")


def test_complete():
    """A link has the host, the file and a token, and its expiry stands beside it."""
    (made,) = msgspec.json.decode(Links("http://host:1").complete(msgspec.json.encode([document("1", "file")]), NOW))

    assert made["download_url"].startswith("http://host:1/documents/file?token=")
    assert NOW + LIFETIME == datetime.fromisoformat(made["download_url_expiration"])


def test_without_marks():
    """What has no links stays as it is."""
    assert b"[1]" == Links("").complete(b"[1]", NOW)


def test_new_in_each_answer():
    """Two answers of the same moment have different tokens, and both are good."""
    links = Links("")
    tokens = {token(links), token(links)}

    assert 2 == len(tokens)
    assert all(links.is_valid(made, NOW) for made in tokens)


@pytest.mark.parametrize(("after_s", "good"), [(0, True), (899.9, True), (900, False)])
def test_expiry(after_s, good):
    """A token is good for a quarter of an hour."""
    links = Links("")

    assert good == links.is_valid(token(links), NOW + timedelta(seconds=after_s))


@pytest.mark.parametrize("wrong", ["", "0", "\N{SNOWMAN}"])
def test_unknown(wrong):
    """A token that was not made here is refused."""
    links = Links("")

    assert not links.is_valid(wrong + token(links)[1:], NOW)
    assert not links.is_valid(token(Links("")), NOW)


@pytest.mark.parametrize(("later", "good"), [(2, True), (3, False)])
def test_memory_is_bounded(monkeypatch, later, good):
    """However many are made, only so many tokens are known: the oldest are refused first."""
    monkeypatch.setattr("pinwheel_async.testing._api.links._KEPT", 3)
    links = Links("")
    first = token(links)
    for _ in range(later):
        token(links)

    assert good == links.is_valid(first, NOW)
