"""TLS: what a client trusts and shows, and what it says of a certificate that is refused."""

import ssl

import aiohttp
import pytest
from aiohttp import web

from pinwheel_async import Pinwheel, RetryPolicy, TransportError

from .certificates import Authority


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def serve_tls(serve, authority):
    """Start a server whose certificate the authority has issued."""

    async def start(*answers, clients=None, **certificate):  # with *clients* it wants a certificate of their authority
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*authority.issue("server", **certificate))
        if clients is not None:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED
        return await serve(*answers, ssl_context=context)

    return start


@pytest.fixture
async def trusting(authority):
    """A session that trusts the authority."""
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority.file))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def _refused(caller, row, ask):
    with pytest.raises(TransportError) as raised:
        await caller.call(row(), ask())
    return raised.value


async def test_unknown_authority(serve_tls, connect, row, ask, answer, time):
    """A certificate of an unknown authority is refused at once, with the reason."""
    site = await serve_tls(answer())
    caller = await connect(site.base_url)

    error = await _refused(caller, row, ask)

    assert error.reason == "ClientConnectorCertificateError (unable to get local issuer certificate, code 20)"
    assert (error.attempts, error.sent, time.slept, site.arrivals) == (1, False, [], [])


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"days": -1}, "certificate has expired, code 10"),
        ({"address": "127.0.0.99"}, "IP address mismatch, code 64"),
    ],
)
async def test_wrong_certificate(serve_tls, connect, row, ask, answer, trusting, certificate, reason):
    """A certificate that is out of date or of another host is refused at once; the reason names no host."""
    site = await serve_tls(answer(), **certificate)
    caller = await connect(site.base_url, session=trusting)

    error = await _refused(caller, row, ask)

    assert error.reason == f"ClientConnectorCertificateError ({reason})"
    assert (error.attempts, error.sent) == (1, False)
    await caller.close()


async def test_server_without_tls(serve, connect, row, ask, answer):
    """A server that does not speak TLS is named as such, and tried again: it may be starting."""
    site = await serve(answer())
    caller = await connect(site.base_url.replace("http:", "https:"))

    error = await _refused(caller, row, ask)

    assert error.reason == "ClientConnectorSSLError (WRONG_VERSION_NUMBER)"
    assert (error.attempts, error.sent) == (3, False)


ACCOUNT = "7c2d5a3e-5ac5-4f0c-9d4a-5f1f1d3c0a11"


@pytest.mark.parametrize("kind", [str, lambda path: path, lambda path: ssl.create_default_context(cafile=path)])
async def test_authority_of_ones_own(serve_tls, authority, kind):
    """A client trusts the authorities in a file, or what a context trusts."""
    site = await serve_tls(web.Response(status=204))
    async with Pinwheel("x", base_url=site.base_url, ssl=kind(authority.file)) as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)

    assert len(site.arrivals) == 1


@pytest.mark.parametrize("as_one", [True, False])
async def test_client_certificate(serve_tls, authority, tmp_path, as_one):
    """A client shows its certificate, out of one file or of two."""
    site = await serve_tls(web.Response(status=204), clients=authority.file)
    certificate, key = authority.issue("client")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    shown = both if as_one else (certificate, key)
    async with Pinwheel("x", base_url=site.base_url, ssl=authority.file, client_certificate=shown) as pinwheel:
        await pinwheel.accounts.disable_monitoring(ACCOUNT)

    assert len(site.arrivals) == 1


async def test_no_client_certificate(serve_tls, authority):
    """Without the certificate that a server wants there is no reply."""
    site = await serve_tls(web.Response(status=204), clients=authority.file)
    retry = RetryPolicy(attempts=1)
    async with Pinwheel("x", base_url=site.base_url, ssl=authority.file, retry=retry) as pinwheel:
        with pytest.raises(TransportError):
            await pinwheel.accounts.disable_monitoring(ACCOUNT)

    assert not site.arrivals
