"""Settings of a client: what is accepted and what is refused."""

import ssl
from datetime import date

import pytest

from pinwheel_async.errors import ConfigurationError
from pinwheel_async.settings import (
    BASE_URL_VARIABLE,
    BASE_URLS,
    ENVIRONMENT_VARIABLE,
    SECRET_VARIABLE,
    Settings,
    find_base_url,
    find_proxy,
    find_secret,
    tls_context,
)

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
        5,
        None,
        b"https://a.example",
        "https://a.example?",
        "https://a.example/?",
        "https://a.example/#",
        "https://a.example//v1",
        "https://a.example/../v1",
        "https://a.example/./v1",
        "https://a.example/a b",
        "https://a.example/a%2",
        "https://a.example/\u00fc",
        "https://a.example\\planted",
        "https://b\u00fccher.example",
        "https://a b",
        "https://a.example\n",
        "https://a.ex\tample",
        "https://[::1",
        "https://a.example/?token=planted",
        "https://a.example?a=1",
        "https://a.example#b",
        "https://me@a.example",
        "https://me:planted@a.example",
        "https://me:planted@a.example/gateway/",
        "http://me:planted@127.0.0.1",
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
        {"concurrency": 2.5},
        *[{name: value} for name in ("timeout_s", "attempt_timeout_s") for value in (None, "5", True)],
        *[{"concurrency": value} for value in (None, "5", True)],
        *[{"requests_per_s": value} for value in ("5", True, [5])],
        *[{"version": value} for value in (None, 20250708, date(2025, 7, 8), b"2025-07-08")],
        *[{"retry": value} for value in (5, None, "planted", {"attempts": 5})],
    ],
)
def test_refused(wrong):
    """A setting that cannot work is refused by name."""
    (name, value), *_ = wrong.items()
    with pytest.raises(ConfigurationError, match=f"^{name} must be ") as raised:
        Settings(base_url=GOOD, **wrong)

    assert isinstance(value, int | float | str) or f"not {type(value).__name__}" in str(raised.value)
    assert "planted" not in str(raised.value)


@pytest.mark.parametrize("secret", [5, b"planted", ["planted"]])
def test_secret_of_another_type(secret):
    """A secret that is no text is refused by its type."""
    with pytest.raises(ConfigurationError, match=f"^api_secret must be text, not {type(secret).__name__}$"):
        find_secret(secret)


@pytest.mark.parametrize(
    "url", ["https://a.example/", "https://a.example//", "HTTPS://A.example:8443/gateway/pay%2Froll/"]
)
def test_slash_at_the_end(url):
    """A base URL may have a path, and a slash at its end, which makes no difference."""
    assert url.rstrip("/") == Settings(base_url=url).base_url


@pytest.mark.parametrize("url", ["http://fake:8080", "http://10.0.0.7/gateway", "http://pinwheel_fake.internal"])
def test_plain_http(url):
    """Plain HTTP to another machine takes a switch of its own."""
    assert url == Settings(base_url=url, allow_http=True).base_url
    with pytest.raises(ConfigurationError, match="allow_http"):
        Settings(base_url=url)


@pytest.mark.parametrize("name", ["acme", "acme-lending/1.4", "acme/1.4 (ops@acme.example)", "x" * 128])
def test_app_name(name):
    """A name of a program is a short line of ASCII."""
    assert name == Settings(base_url=GOOD, app_name=name).app_name


@pytest.mark.parametrize(
    "name",
    ["", " ", " planted", "planted ", "plan\r\nted", "plan\tted", "plan\x00ted", "plänted", "p" * 129, 5, b"planted"],
)
def test_app_name_refused(name):
    """What cannot stand in a header is refused, without being shown."""
    with pytest.raises(ConfigurationError, match="app_name must be printable ASCII") as raised:
        Settings(base_url=GOOD, app_name=name)
    assert "planted" not in str(raised.value)


def test_environments():
    """Each environment has its URL."""
    assert find_base_url(None, "production") == "https://api.getpinwheel.com"


@pytest.mark.parametrize("environment", ["staging", "", 5])
def test_unknown_environment(environment):
    """An environment that does not exist is refused, with those that do."""
    with pytest.raises(ConfigurationError, match=r"^environment must be one of sandbox, development, production"):
        find_base_url(None, environment)


@pytest.mark.parametrize(
    ("given", "environment", "variables", "found"),
    [
        (None, None, {}, BASE_URLS["sandbox"]),
        (None, None, {ENVIRONMENT_VARIABLE: "production"}, BASE_URLS["production"]),
        (None, None, {ENVIRONMENT_VARIABLE: ""}, BASE_URLS["sandbox"]),
        (None, None, {BASE_URL_VARIABLE: "", ENVIRONMENT_VARIABLE: "production"}, BASE_URLS["production"]),
        (None, None, {BASE_URL_VARIABLE: "https://a.example", ENVIRONMENT_VARIABLE: "production"}, "https://a.example"),
        (None, "development", {BASE_URL_VARIABLE: "https://a.example"}, BASE_URLS["development"]),
        ("https://b.example", None, {BASE_URL_VARIABLE: "https://a.example"}, "https://b.example"),
        ("https://b.example", "production", {}, "https://b.example"),
    ],
)
def test_where_the_base_url_comes_from(monkeypatch, given, environment, variables, found):
    """What is given goes before the variables, and the URL before the environment."""
    for name in (BASE_URL_VARIABLE, ENVIRONMENT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert found == find_base_url(given, environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (BASE_URL_VARIABLE, "https://me:planted@a.example"),
        (BASE_URL_VARIABLE, "planted"),
        (ENVIRONMENT_VARIABLE, "planted"),
    ],
)
def test_wrong_variable(monkeypatch, name, value):
    """A variable that holds something else is refused by its name, without being shown."""
    monkeypatch.delenv(BASE_URL_VARIABLE, raising=False)
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=rf"^{name} must be") as raised:
        find_base_url(None, None)
    assert "planted" not in str(raised.value)


@pytest.fixture
def environment_of(monkeypatch):
    """Set the variables that name proxies, and no others."""

    def set_variables(**variables):
        for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("target", "variables", "found"),
    [
        (GOOD, {}, None),
        (GOOD, {"HTTPS_PROXY": PROXY}, PROXY),
        (GOOD, {"https_proxy": PROXY}, PROXY),
        (GOOD, {"ALL_PROXY": PROXY}, PROXY),
        (GOOD, {"HTTP_PROXY": PROXY}, None),
        (GOOD, {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        (GOOD, {"HTTPS_PROXY": "http://me:pw@proxy.example:3128"}, "http://me:pw@proxy.example:3128"),
        (GOOD, {"HTTPS_PROXY": ""}, None),
        ("http://fake:8080", {"HTTP_PROXY": PROXY}, PROXY),
        (GOOD, {"HTTPS_PROXY": PROXY, "NO_PROXY": ".getpinwheel.com"}, None),
        (GOOD, {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        (GOOD, {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example"}, PROXY),
        ("https://a.example:8443/x", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.example:8443"}, None),
        ("http://127.0.0.1:8080", {"HTTP_PROXY": PROXY}, None),
        ("http://localhost", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:1", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_proxy_of_the_environment(environment_of, target, variables, found):
    """The usual variables name the proxy, if the target is another machine that they do not except."""
    environment_of(**variables)

    assert found == find_proxy(None, target, trust_env=True)
    assert find_proxy(None, target, trust_env=False) is None


def test_proxy_that_is_given(environment_of):
    """A proxy that is given goes before the environment's, also for this machine."""
    environment_of(HTTPS_PROXY=PROXY, NO_PROXY="*")

    assert find_proxy("http://other.example", "http://127.0.0.1", trust_env=True) == "http://other.example"


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://me:planted@proxy.example",
        "http://",
        "http://me:planted@proxy.example:port",
        "http://proxy.example/planted",
        "http://proxy.example?planted",
        "http://pro xy.example",
        "planted@",
    ],
)
def test_proxy_refused(environment_of, proxy, given):
    """What is no HTTP proxy is refused by where it comes from, without being shown: nothing goes round it."""
    environment_of(**({} if given else {"HTTPS_PROXY": proxy}))

    with pytest.raises(
        ConfigurationError, match=r"^proxy must be" if given else r"^the proxy of the environment"
    ) as raised:
        find_proxy(proxy if given else None, GOOD, trust_env=True)
    assert "planted" not in str(raised.value)


@pytest.mark.parametrize("proxy", [5, b"http://a", ""])
def test_proxy_of_a_wrong_type(proxy):
    """A proxy that is no URL is refused."""
    with pytest.raises(ConfigurationError, match="proxy must be a URL"):
        find_proxy(proxy, GOOD, trust_env=True)


@pytest.mark.parametrize("name", ["missing.pem", "folder", "empty.pem", "text.pem"])
@pytest.mark.parametrize("setting", ["ssl", "client_certificate"])
def test_file_that_holds_no_certificate(tmp_path, name, setting):
    """A file that cannot be used is refused by the name of its setting, without its path."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.pem").touch()
    (tmp_path / "text.pem").write_text("-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n")
    path = tmp_path / name

    with pytest.raises(ConfigurationError, match=rf"^{setting} must be the path of a PEM file") as raised:
        tls_context(path if setting == "ssl" else None, path if setting == "client_certificate" else None)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize("wrong", [False, True, 5, "", b"x"])
def test_ssl_of_a_wrong_type(wrong):
    """What is neither a context nor a path is refused; above all, verification cannot be turned off by a False."""
    with pytest.raises(ConfigurationError, match=r"^ssl must be an ssl\.SSLContext or the path"):
        tls_context(wrong, None)


@pytest.mark.parametrize("wrong", [5, ("a", "b", "c"), ()])
def test_client_certificate_of_a_wrong_type(wrong):
    """What is no path and no pair of paths is refused."""
    with pytest.raises(ConfigurationError, match=r"^client_certificate must be"):
        tls_context(None, wrong)


def test_client_certificate_beside_a_context():
    """A context of the caller's own is not changed."""
    with pytest.raises(ConfigurationError, match="load_cert_chain"):
        tls_context(ssl.create_default_context(), "a.pem")


def test_context_of_ones_own():
    """A context of the caller's own is used as it is, and without any setting aiohttp's default is."""
    context = ssl.create_default_context()

    assert tls_context(context, None) is context
    assert tls_context(None, None) is None


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
