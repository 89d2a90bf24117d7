"""What a client can be told, and what it refuses."""

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import BASE_URLS, SECRET_VARIABLE, Settings, base_url, find_secret

GOOD = "https://sandbox.getpinwheel.com"


@pytest.mark.parametrize(
    "url",
    [*BASE_URLS.values(), "HTTPS://Example.com:8443", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"],
)
def test_base_url(url):
    """A scheme and a host are a base URL; plain HTTP is for this machine only."""
    assert url == Settings(base_url=url).base_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sandbox.getpinwheel.com",
        "ftp://a.example",
        "https://",
        "https:///v1",
        "https://a.example/",
        "https://a.example/v1",
        "https://a.example?",
        "https://a.example?a=1",
        "https://a.example#b",
        "https://me@a.example",
        "https://me:planted@a.example",
        "https://:planted@a.example",
        "https://a.example:99999",
        "https://a.example:port",
        "http://a.example",
        "http://127.0.0.1.a.example",
        " https://a.example",
    ],
)
def test_base_url_refused(url):
    """Anything else is refused, without being shown."""
    with pytest.raises(ConfigurationError, match=r"base_url must be") as raised:
        Settings(base_url=url)
    assert "planted" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "latest"},
        {"version": "2025-7-8"},
        {"version": "2025-07-08\n"},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
        {"attempt_timeout_s": -1},
        {"concurrency": 0},
        {"requests_per_s": 0},
        {"requests_per_s": float("nan")},
    ],
)
def test_refused(wrong):
    """A setting that cannot work is refused by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Settings(base_url=GOOD, **wrong)


def test_environments():
    """Each environment has its URL."""
    assert base_url("production") == "https://api.getpinwheel.com"


def test_unknown_environment():
    """An environment that does not exist is refused, with those that do."""
    with pytest.raises(ConfigurationError, match="sandbox, development, production"):
        base_url("staging")


def test_secret_given(monkeypatch):
    """A secret that is given goes before the one of the environment."""
    monkeypatch.setenv(SECRET_VARIABLE, "other")

    assert find_secret("given") == "given"


def test_secret_of_the_environment(monkeypatch):
    """Without one, the secret is taken from the environment."""
    monkeypatch.setenv(SECRET_VARIABLE, "other")

    assert find_secret(None) == "other"


@pytest.mark.parametrize("secret", [None, "", "  "])
def test_no_secret(monkeypatch, secret):
    """No secret at all is refused, and an empty one is not replaced by the environment's."""
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)

    with pytest.raises(ConfigurationError, match=SECRET_VARIABLE):
        find_secret(secret)


@pytest.mark.parametrize("secret", ["planted\n", " planted", "plant\r\ned", "plänted", "plan\x00ted"])
def test_secret_that_cannot_be_sent(secret):
    """A secret that cannot stand in a header is refused, without being shown."""
    with pytest.raises(ConfigurationError, match="printable ASCII") as raised:
        find_secret(secret)
    assert "planted" not in str(raised.value)
