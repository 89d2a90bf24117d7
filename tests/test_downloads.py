"""Downloads of documents by their signed links."""

import asyncio
import json
import logging
import stat
import traceback

import aiohttp
import pytest
from aiohttp import web

from pinwheel_async import (
    ApiError,
    ClosedError,
    DeadlineError,
    ForbiddenError,
    Pinwheel,
    RequestError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from pinwheel_async._http import download
from pinwheel_async.models import Document, Paystub
from pinwheel_async.testing import FakePinwheel, make_paystub, make_tax_form

SECRET = "planted-secret-4711"
PDF = web.Response(body=b"%PDF planted content")
PARTIAL = web.Response(status=206, body=b"%PDF")
GONE = web.Response(status=403, text="<Error>planted</Error>")


@pytest.fixture
async def open_client(serve):
    """Open a client of a server with these answers; return both."""
    clients = []

    async def start(*answers, **settings):
        site = await serve(*answers)
        settings.setdefault("retry", RetryPolicy(attempts=2, base_s=0.001))
        client = Pinwheel(SECRET, base_url=site.base_url, **settings)
        clients.append(client)
        await client.open()
        return client, site

    yield start
    for client in clients:
        await client.close()


def document(site, **fields):
    return Document(id="d", download_url=f"{site.base_url}/files/x?token=planted%2Ftoken", **fields)


def written(error):
    """A traceback with the locals of all frames but the test's own."""
    entry = error.__traceback__
    while entry and "/tests/" in entry.tb_frame.f_code.co_filename:
        entry = entry.tb_next
    return "".join(traceback.TracebackException(type(error), error, entry, capture_locals=True).format())


async def test_a_document_of_the_fake():
    """The file of a paystub comes as bytes."""
    async with FakePinwheel(accounts=1) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        paystub, *_ = await pinwheel.paystubs.list(next(fake.world.account_ids()))

        assert (await pinwheel.documents.download(paystub)).startswith(b"%PDF")


async def test_what_is_sent(open_client):
    """The link is asked for as it stands, without secret, version or cookies."""
    pinwheel, site = await open_client(PDF)

    assert await pinwheel.documents.download(document(site)) == PDF.body

    (arrival,) = site.arrivals
    assert ("GET", "/files/x?token=planted%2Ftoken") == (arrival.method, arrival.target)
    assert {"x-api-secret", "pinwheel-version", "authorization", "cookie"}.isdisjoint(arrival.headers)


async def test_the_headers_of_the_callers_own_session_stay(open_client, serve):
    """Headers of a session that was given are for the API, not for the file's host."""
    site = await serve(PDF)
    async with (
        aiohttp.ClientSession(headers={"Authorization": "planted"}) as session,
        Pinwheel(SECRET, base_url=site.base_url, session=session) as pinwheel,
    ):
        await pinwheel.documents.download(document(site))

    assert "authorization" not in site.arrivals[0].headers


async def test_a_file_appears_whole_and_private(open_client, tmp_path):
    """A file takes the place of an earlier one, and only its owner can read it."""
    pinwheel, site = await open_client(PDF)
    path = tmp_path / "paystub.pdf"
    path.write_bytes(b"earlier")

    size = await pinwheel.documents.save(document(site), path)

    assert (len(PDF.body), PDF.body, 0o600) == (size, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    assert [path] == list(tmp_path.iterdir())


LARGE = bytes(range(256)) * 12_000
"""Three buffers of what is written to a file at once, in many blocks."""


async def test_a_large_file(open_client, tmp_path):
    """A file that comes in many blocks is whole, on disk and in memory, and its size is that of all of them."""
    pinwheel, site = await open_client(web.Response(body=LARGE))
    path = tmp_path / "paystub.pdf"

    size = await pinwheel.documents.save(document(site), path)

    assert (len(LARGE), LARGE) == (size, path.read_bytes())
    assert LARGE == await pinwheel.documents.download(document(site))


@pytest.mark.parametrize(("limit", "is_taken"), [(len(LARGE), True), (len(LARGE) - 1, False)])
async def test_the_largest_file(open_client, monkeypatch, limit, is_taken):
    """The limit holds for the sum of all blocks, and a file of just that size is taken."""
    monkeypatch.setattr(download, "MAX_FILE_BYTES", limit)
    pinwheel, site = await open_client(web.Response(body=LARGE))

    if is_taken:
        assert len(LARGE) == len(await pinwheel.documents.download(document(site)))
        return
    with pytest.raises(TransportError, match="file too large") as caught:
        await pinwheel.documents.download(document(site))

    assert caught.value.sent


async def half(request):
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"planted half")
    request.transport.abort()
    return response


@pytest.mark.parametrize("answer", [half, GONE, web.Response(status=500), web.Response(status=302), PARTIAL])
async def test_a_file_that_did_not_come_leaves_nothing(open_client, tmp_path, answer):
    """What failed leaves the earlier file as it was, and no part of the new one."""
    pinwheel, site = await open_client(answer)
    path = tmp_path / "paystub.pdf"
    path.write_bytes(b"earlier")

    with pytest.raises((TransportError, ApiError)):
        await pinwheel.documents.save(document(site), path)

    assert ([path], b"earlier") == (list(tmp_path.iterdir()), path.read_bytes())


async def test_a_cancelled_download_leaves_nothing(open_client, tmp_path):
    """A download that is cancelled half-way removes what it wrote."""
    begun = asyncio.Event()

    async def slow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"planted half")
        begun.set()
        await asyncio.Event().wait()

    pinwheel, site = await open_client(slow)
    task = asyncio.create_task(pinwheel.documents.save(document(site), tmp_path / "paystub.pdf"))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    assert [] == list(tmp_path.iterdir())
    assert "planted" not in written(caught.value).replace(SECRET, "")


async def test_a_folder_that_is_not_there(open_client, tmp_path):
    """The system's own error says why a file cannot be written; nothing of the content is in it."""
    pinwheel, site = await open_client(PDF)

    with pytest.raises(FileNotFoundError) as caught:
        await pinwheel.documents.save(document(site), tmp_path / "nowhere" / "paystub.pdf")

    assert "planted" not in written(caught.value)


@pytest.mark.parametrize("trouble", [half, web.Response(status=503)])
async def test_a_download_is_tried_again(open_client, tmp_path, trouble):
    """What may pass is tried again, from the start."""
    pinwheel, site = await open_client(trouble, PDF)
    path = tmp_path / "paystub.pdf"

    await pinwheel.documents.save(document(site), path)

    assert (PDF.body, 2) == (path.read_bytes(), len(site.arrivals))


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_link_that_has_run_out_is_renewed(open_client, status):
    """A paystub is got again for a new link, once."""
    renewed = make_paystub()

    async def again(_request):
        fresh = {
            **renewed.to_dict(),
            "document": {"id": "d", "download_url": f"{site.base_url}/files/new?token=planted"},
        }
        return web.Response(body=json.dumps({"data": fresh}).encode())

    pinwheel, site = await open_client(web.Response(status=status), again, PDF)
    old = Paystub.from_dict({**renewed.to_dict(), "document": document(site).to_dict()})

    assert await pinwheel.documents.download(old) == PDF.body

    paths = [arrival.target.partition("?")[0] for arrival in site.arrivals]
    assert ["/files/x", f"/v1/accounts/{old.account_id}/paystubs/{old.id}", "/files/new"] == paths


async def test_a_billed_object_is_not_got_again_unasked(open_client):
    """A tax form is renewed only by what the caller passes."""
    pinwheel, site = await open_client(GONE, GONE, PDF)
    form = make_tax_form(document=document(site))

    async def renew():
        return document(site)

    with pytest.raises(ForbiddenError):
        await pinwheel.documents.download(form)
    assert await pinwheel.documents.download(form, renew=renew) == PDF.body


async def test_no_link(open_client):
    """A document without a link that cannot be renewed is refused with the cure."""
    pinwheel, site = await open_client(PDF)

    with pytest.raises(RequestError, match="holder must have a document with a link"):
        await pinwheel.documents.download(Document(id="d"))

    assert site.arrivals == []


@pytest.mark.parametrize(
    "url",
    [
        "http://planted.example/x",
        "ftp://planted.example/x",
        "file:///planted",
        "https://planted:planted@planted.example/x",
        "//planted.example/x",
        "planted",
        "https://[planted",
    ],
)
async def test_a_link_that_is_not_private_is_refused(open_client, url):
    """Only https, and http to this machine, is asked for a document; the link is not shown."""
    pinwheel, _ = await open_client(PDF)

    with pytest.raises(RequestError, match="must be https") as caught:
        await pinwheel.documents.download(Document(id="d", download_url=url))

    assert "planted" not in written(caught.value).replace(SECRET, "")


async def test_a_file_without_end_is_refused(open_client, monkeypatch, tmp_path):
    """A download is bounded, in memory and on the disk."""
    monkeypatch.setattr(download, "MAX_FILE_BYTES", 10)
    pinwheel, site = await open_client(PDF)

    with pytest.raises(TransportError, match="file too large"):
        await pinwheel.documents.save(document(site), tmp_path / "x")

    assert (1, []) == (len(site.arrivals), list(tmp_path.iterdir()))


async def hang(_request):
    await asyncio.Event().wait()


TROUBLE = {"gone": GONE, "cut": half, "silent": hang, "error": web.Response(status=500, text="planted")}


@pytest.mark.parametrize("name", TROUBLE)
async def test_nothing_is_shown(open_client, caplog, name):
    """Neither link nor content is in errors, tracebacks with locals, or logs."""
    caplog.set_level(logging.DEBUG)
    pinwheel, site = await open_client(TROUBLE[name], timeout_s=0.3)

    with pytest.raises((ForbiddenError, TransportError, ServerError)) as caught:
        await pinwheel.documents.download(document(site))

    assert "planted" not in (written(caught.value) + caplog.text).replace(SECRET, "")


async def test_a_deadline(open_client):
    """A host that is silent ends at the client's own timeout."""
    pinwheel, site = await open_client(hang, timeout_s=0.1)

    with pytest.raises(DeadlineError):
        await pinwheel.documents.download(document(site))


async def test_a_closed_client(open_client):
    """A closed client downloads nothing."""
    pinwheel, site = await open_client(PDF)
    await pinwheel.close()

    with pytest.raises(ClosedError):
        await pinwheel.documents.download(document(site))
