"""The manual as a site: built without a warning, whole, reachable, and independent of any other host."""

import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from pinwheel_async.docs import _names
from pinwheel_async.docs.__main__ import main

pytestmark = pytest.mark.timeout(900)
"""The build takes 20 seconds of a free core, and all tests wait for it."""

ASKED = {
    "rotate a secret": "how-to/rotate-secrets.html",
    "what a 404 means in a sync": "explanation/guarantees.html#what-a-404-means-in-a-sync",
    "when two handlers of one account can overlap": (
        "explanation/guarantees.html#when-two-handlers-of-one-account-can-overlap"
    ),
    "erase a person": "how-to/erase-a-person.html",
    "what to alarm on": "how-to/operate-the-inbox.html#what-to-alarm-on",
    "add an endpoint": "how-to/add-an-endpoint.html",
}
"""What somebody looks for, and where it stands: one click from the first page."""


class Page(HTMLParser):
    """Links, anchors and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.anchors.add(str(found["id"]))
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if tag in {"script", "img", "iframe", "source", "link"}:
            self.loaded.extend(str(found[name]) for name in ("src", "href") if found.get(name))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once; a warning of Sphinx fails it."""
    folder = tmp_path_factory.mktemp("manual")
    command = [sys.executable, "-m", "pinwheel_async.docs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Every page, by its path."""
    return {file.relative_to(site).as_posix(): Page(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}


def test_links(site: Path, pages: dict[str, Page]) -> None:
    """Every link within the manual leads to a page and a place that are there."""
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            place = (site / path).parent / target if target else site / path
            name = place.resolve().relative_to(site.resolve()).as_posix()
            is_there = name in pages if name.endswith(".html") else place.exists()
            if not is_there or (anchor and name in pages and anchor not in pages[name].anchors):
                broken.append(f"{path}: {link}")

    assert [] == broken


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[str, Page]) -> None:
    """No page, and no style sheet, loads anything from another host: the manual works offline and from a file."""
    foreign = [f"{path}: {url}" for path, page in pages.items() for url in page.loaded if re.match(r"(\w+:)?//", url)]
    sheets = {file.name: file.read_text(encoding="utf-8") for file in site.rglob("*.css")}
    fetched = [name for name, text in sheets.items() if re.search(r"url\(['\"]?(https?:)?//|@import", text)]

    assert [] == foreign == fetched


def test_search(site: Path) -> None:
    """The index of the search is there, and a script, so that it works from a file."""
    index = (site / "searchindex.js").read_text(encoding="utf-8")

    assert index.startswith("Search.setIndex(")
    words = ("net_pay_amount", "fully_sync", "lease_lost", "PaystubsFullySynced", "Rotate secrets")  # by their stems
    assert [] == [word for word in words if word not in index]


def test_readable_on_a_phone(site: Path) -> None:
    """Pages fit the width of the screen, and wide tables scroll within themselves."""
    text = (site / "reference" / "tables.html").read_text(encoding="utf-8")

    assert '<meta name="viewport" content="width=device-width' in text
    assert text.count("<table") == text.count('<div class="table-wrapper')


def test_every_public_name_is_reachable(site: Path) -> None:
    """Whatever a package makes public can be looked up, under this name or the one it is described by."""
    described = {name for name, _ in _inventory(site)}

    assert [] == [
        name for name in _names.public() if name not in described and _names.homes().get(name) not in described
    ]


def test_every_method_is_reachable(site: Path) -> None:
    """Every public method of a public class of the library can be looked up."""
    described = {name for name, _ in _inventory(site)}
    missing = [
        f"{name}.{member}"
        for name, value in _names.described().items()
        if isinstance(value, type) and not name.startswith("pinwheel_async.endpoints.Endpoint")
        for member, function in vars(value).items()
        if not member.startswith("_")
        and callable(getattr(function, "__func__", function))
        and f"{name}.{member}" not in described
        if not isinstance(function, type) and hasattr(getattr(function, "__func__", function), "__code__")
    ]

    assert [] == missing


@pytest.mark.parametrize(("question", "place"), ASKED.items())
def test_asked(pages: dict[str, Page], question: str, place: str) -> None:
    """What is looked for most is one click from the first page."""
    assert place in pages["index.html"].links, question


def test_main_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without Sphinx the command names the extra to install."""
    monkeypatch.setitem(sys.modules, "sphinx.application", None)

    assert main(["nowhere"]) == 2
    assert "pinwheel-async[docs]" in capsys.readouterr().err


@cache
def _inventory(site: Path) -> tuple[tuple[str, str], ...]:
    """Return name and kind of everything that is described."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return tuple(_entries(zlib.decompress(content).decode()))


def _entries(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, kind = line.split(" ")[:2]
        if kind.startswith("py:"):
            yield name, kind
