"""The pytest plugin, and the fake in a thread."""

import http.client
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest

from pinwheel_async.testing import FakePinwheel

pytest_plugins = ["pytester"]

TESTS = """
    import http.client
    from urllib.parse import urlsplit

    def ask(fake):
        connection = http.client.HTTPConnection(urlsplit(fake.base_url).netloc)
        connection.request("GET", "/v1/accounts", headers={"x-api-secret": fake.api_secret})
        status = connection.getresponse().status
        connection.close()
        return status

    def test_blocking(fake_pinwheel):
        assert ask(fake_pinwheel) == 400
        assert fake_pinwheel.counts == {"list_accounts": 1}

    def test_fresh(fake_pinwheel):
        assert not fake_pinwheel.counts
"""


def ask(fake: FakePinwheel) -> int:
    """Ask without a loop."""
    connection = http.client.HTTPConnection(urlsplit(fake.base_url).netloc)
    connection.request(
        "GET", "/v1/accounts", headers={"x-api-secret": fake.api_secret, "Pinwheel-Version": "2025-07-08"}
    )
    status = connection.getresponse().status
    connection.close()
    return status


def test_fixture(pytester):
    """With the plugin each test can ask for a running fake of its own, without an async plugin."""
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess(
        "-p", "pinwheel_async.testing.plugin", "-p", "no:asyncio", "-p", "no:anyio", "-W", "error"
    )

    result.assert_outcomes(passed=2)


def test_plain_with():
    """With a plain `with` the fake serves blocking code, and its thread ends with it."""
    with FakePinwheel() as fake:
        assert 200 == ask(fake)

    assert "FakePinwheel" not in {thread.name for thread in threading.enumerate()}


def test_taken_port():
    """A fake that cannot start says why and leaves no thread behind."""
    with FakePinwheel() as fake:
        port = int(fake.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"), FakePinwheel(port=port):
            pass

    assert "FakePinwheel" not in {thread.name for thread in threading.enumerate()}


def test_import_is_cheap():
    """The plugin and the package import no server before somebody asks for one."""
    code = "import sys, pinwheel_async.testing.plugin; print('aiohttp.web' in sys.modules, 'cattrs' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "False False" == output.strip()


def test_unknown_name():
    """A name that the package does not have is an AttributeError."""
    import pinwheel_async.testing  # the module itself is under test

    with pytest.raises(AttributeError, match="Nonsense"):
        assert pinwheel_async.testing.Nonsense
    assert set(pinwheel_async.testing.__all__) <= set(dir(pinwheel_async.testing))
