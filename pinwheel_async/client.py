"""Client of the API: one attribute per group of endpoints."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from datetime import date
from functools import cache, partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, overload

from attrs import evolve

from pinwheel_async._core.model import Model
from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._http.caller import HttpCaller
from pinwheel_async._http.observing import AttemptHook
from pinwheel_async._http.prepare import Secret
from pinwheel_async._http.raw import make_extras, raw_call
from pinwheel_async._privacy import Unpicklable, without_locals
from pinwheel_async.errors import ConfigurationError, RequestError
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.settings import (
    LATEST_VERSION,
    VERSIONS,
    Environment,
    FilePath,
    Settings,
    find_base_url,
    find_proxy,
    find_secret,
    tls_context,
)

if TYPE_CHECKING:
    from ssl import SSLContext
    from typing import Self

    import aiohttp

    from pinwheel_async._postgres.shared_pace import SharedPace
    from pinwheel_async.endpoints import (
        AccountEndpoints,
        AdminEndpoints,
        BillNavigatorEndpoints,
        CompanyConnectionEndpoints,
        DirectDepositAllocationsEndpoints,
        DocumentEndpoints,
        EarningsStreamEndpoints,
        EmployerEndpoints,
        EmploymentEndpoints,
        IdentityEndpoints,
        IncomeEndpoints,
        JobEndpoints,
        LinkTokenEndpoints,
        PaystubEndpoints,
        PlatformEndpoints,
        SandboxEndpoints,
        SearchEndpoints,
        ShiftEndpoints,
        SiteEndpoints,
        TaxFormEndpoints,
        VerificationReportEndpoints,
        WebhookEndpoints,
    )
    from pinwheel_async.endpoints._base import Caller
    from pinwheel_async.snapshot import Snapshot


_log = logging.getLogger("pinwheel_async.http")

M = TypeVar("M", bound=Model)

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
"""A method of HTTP that the API uses."""


class Pinwheel(Unpicklable):
    """A client of the Pinwheel API, for one event loop.

    It holds a pool of connections: open one for the life of your program, not one per call. Where several blocks hold
    the same client open, the last one that ends closes it; `close()` does at once.

    ```python
    async with Pinwheel(api_secret, environment="sandbox") as pinwheel:
        income = await pinwheel.income.get(account_id)
    ```

    Each group of endpoints is an attribute; `help(pinwheel.paystubs)` shows its methods.

    - data of an account: `accounts`, `identity`, `income`, `employment`, `direct_deposit_allocations`, `paystubs`,
      `shifts`, `tax_forms`; `snapshot()` reads them all at once;
    - over all accounts of an end user: `documents`, `earnings_stream`, `verification_reports`, `bill_navigator`;
    - Link and what it finds: `link_tokens`, `jobs`, `employers`, `platforms`, `search`;
    - of companies: `company_connections`;
    - of the workspace: `webhooks`, `admin`, `sandbox`; and, of an older time, `sites`.

    Calls raise subclasses of `PinwheelError`: `TransportError` where no reply came, `ApiError` where it was no success,
    `DecodeError` where it was not of the documented shape. Calls that can be repeated are, as `retry` says.
    """

    accounts: "AccountEndpoints"
    """The payroll accounts that end users connected."""
    identity: "IdentityEndpoints"
    """Name, birth date and contacts of the end user."""
    income: "IncomeEndpoints"
    """What the job pays."""
    employment: "EmploymentEndpoints"
    """Employer, title, status and dates of the job."""
    direct_deposit_allocations: "DirectDepositAllocationsEndpoints"
    """Where the pay goes."""
    paystubs: "PaystubEndpoints"
    """What was paid, taxed and deducted."""
    shifts: "ShiftEndpoints"
    """Times worked."""
    tax_forms: "TaxFormEndpoints"
    """W-2s, 1099s and 1040s."""
    jobs: "JobEndpoints"
    """What Link started and finished; refreshes are not among them."""
    employers: "EmployerEndpoints"
    """Employers that end users can choose."""
    platforms: "PlatformEndpoints"
    """Payroll platforms that end users can choose."""
    search: "SearchEndpoints"
    """Employers and platforms by name."""
    webhooks: "WebhookEndpoints"
    """Subscriptions of URLs to events."""
    documents: "DocumentEndpoints"
    """Documents that end users uploaded."""
    bill_navigator: "BillNavigatorEndpoints"
    """Deactivates or terminates an end user in Bill Navigator."""
    earnings_stream: "EarningsStreamEndpoints"
    """Expected and finished payouts of end users."""
    verification_reports: "VerificationReportEndpoints"
    """Reports on income and employment."""
    company_connections: "CompanyConnectionEndpoints"
    """Company Connect: payroll systems that employers connected."""
    sandbox: "SandboxEndpoints"
    """Controls of the sandbox."""
    admin: "AdminEndpoints"
    """API keys, by an admin token instead of the secret."""
    link_tokens: "LinkTokenEndpoints"
    """Tokens that open Link in an end user's browser."""
    sites: "SiteEndpoints"
    """Hosted pages of the API before 2021-04-29; deprecated."""

    @without_locals
    def __init__(
        self,
        api_secret: str | None = None,
        *,
        environment: Environment | None = None,
        base_url: str | None = None,
        version: str = LATEST_VERSION,
        timeout_s: float = 60.0,
        attempt_timeout_s: float = 30.0,
        concurrency: int = 64,
        requests_per_s: float | None = None,
        pace: "SharedPace | None" = None,
        retry: RetryPolicy | None = None,
        proxy: str | None = None,
        ssl: "SSLContext | FilePath | None" = None,
        client_certificate: FilePath | tuple[FilePath, FilePath] | None = None,
        trust_env: bool = True,
        allow_http: bool = False,
        app_name: str | None = None,
        on_attempt: AttemptHook | None = None,
        session: "aiohttp.ClientSession | None" = None,
    ) -> None:
        """Describe a client; nothing is sent and no connection made before it is opened.

        Args:
            api_secret: The secret of an API key; None takes it from the variable `PINWHEEL_API_SECRET`.
            environment: Where the API key belongs; None takes it from the variable `PINWHEEL_ENVIRONMENT`, or
                is the sandbox.
            base_url: Scheme and host to call instead of the environment's, and a path before all paths if there is a
                gateway; None takes it from the variable `PINWHEEL_BASE_URL`, unless *environment* is given.
            version: API version to speak, a date.
            timeout_s: Seconds for one call over all its attempts and waits; in `background()` from the first on.
            attempt_timeout_s: Seconds for one attempt.
            concurrency: Most requests in flight at once; fewer while the server asks to slow down.
            requests_per_s: Most requests begun per second, on average; None means no cap.
            pace: A rate that the clients of other processes share, instead of *requests_per_s*.
            retry: How often and how patiently calls are repeated; None means 4 attempts.
            proxy: URL of an HTTP proxy, such as `http://proxy.example:3128`, which may hold user and password; None
                takes it from the environment if *trust_env*.
            ssl: A context of your own, or the path of a PEM file with the certificate authorities to trust; None trusts
                those of the system.
            client_certificate: Path of a PEM file with certificate and key, or the two paths of certificate and key.
            trust_env: Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` count. They never do for a server
                on this machine.
            allow_http: Whether *base_url* may be plain http to another machine, in a network of your own: the secret
                and the data can be seen there. To this machine it always may.
            app_name: Name of your program, such as `acme-lending/1.4`, which is sent in `User-Agent`.
            on_attempt: A function that is called with an `Attempt` before and after each attempt of a call, for metrics
                and traces. It must not wait; what it raises is logged and changes nothing.
            session: A session of your own, which this client uses and never closes; proxy and certificates are its own.
                Its connections should be kept for less than the 5 s after which the server closes them.

        Raises:
            ConfigurationError: A setting that cannot work, or no secret.
        """
        secret = _hidden(find_secret, api_secret)
        place = _hidden(partial(find_base_url, environment=environment, allow_http=allow_http), base_url)
        target = place.reveal() if isinstance(place, Secret) else ""
        route = _hidden(partial(find_proxy, target=target, trust_env=trust_env and session is None), proxy)
        if pace is not None and requests_per_s is not None:
            raise ConfigurationError("requests_per_s must be left out where pace is given, which holds the rate")
        conflict = session is not None and (proxy, ssl, client_certificate) != (None, None, None)
        del api_secret, base_url, proxy  # from here on no traceback can show them
        if isinstance(secret, ConfigurationError):
            raise secret
        if isinstance(place, ConfigurationError):
            raise place
        if isinstance(route, ConfigurationError):
            raise route
        if (on_attempt is not None and not callable(cast("object", on_attempt))) or iscoroutinefunction(on_attempt):
            raise ConfigurationError("on_attempt must be a plain function, which does not wait")
        if conflict:
            raise ConfigurationError("proxy, ssl and client_certificate must be given to the session of your own")
        settings = Settings(
            base_url=target,
            version=version,
            timeout_s=timeout_s,
            attempt_timeout_s=attempt_timeout_s,
            concurrency=concurrency,
            requests_per_s=requests_per_s,
            retry=RetryPolicy() if retry is None else retry,
            allow_http=allow_http,
            app_name=app_name,
        )
        _warn_of_unknown_version(version)
        self._caller = HttpCaller(
            secret,
            settings,
            session=session,
            proxy=route if route.reveal() else None,
            tls=tls_context(ssl, client_certificate),
            on_attempt=on_attempt,
            shared_rate=pace,
        )
        self._set_groups(self._caller)

    def __repr__(self) -> str:
        """Return where the client calls, which version it speaks, and whether it is open."""
        if "_caller" not in vars(self):  # a traceback out of __init__ may ask
            return "<Pinwheel>"
        settings = self._caller.settings
        return f"<Pinwheel {settings.base_url} {settings.version} {'open' if self._caller.is_open else 'closed'}>"

    async def __aenter__(self) -> "Self":
        """Open the client, or keep it open if it is open."""
        await self._caller.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client, unless it was open before the block or another block keeps it open."""
        await self._caller.leave()

    async def open(self) -> None:
        """Open the client; nothing happens if it is open. It may be opened again after it was closed.

        Raises:
            ClosedError: It is open in another event loop.
        """
        await self._caller.open()

    async def close(self) -> None:
        """Close the client: calls that run raise `ClosedError`. Nothing happens if it is closed."""
        await self._caller.close()

    async def cleanup_ctx(self, app: object) -> AsyncIterator[None]:  # noqa: ARG002  # aiohttp passes it
        """Keep the client open while an aiohttp application runs: `app.cleanup_ctx.append(pinwheel.cleanup_ctx)`.

        Several applications may share one client: the last one that ends closes it.
        """
        async with self:
            yield

    @property
    def settings(self) -> Settings:
        """Settings that the client was made with."""
        return self._caller.settings

    @property
    def drift(self) -> Mapping[str, int]:
        """How often answers differed from the documentation, by endpoint and place; a live view, without values.

        Keys are such as `GET /v1/accounts/{account_id}/income data.title: null`, or
        `GET /v1/accounts/{account_id}/income answered version 2023-11-22 for 2025-07-08`.
        """
        return self._caller.drift.counts

    @property
    def paused_s(self) -> float:
        """Seconds until calls are sent again after the server asked to slow down, two minutes at most; 0 for none."""
        return self._caller.paused_s

    @without_locals
    async def snapshot(
        self,
        account_id: str,
        *,
        products: Collection[Product] = PRODUCTS,
        from_pay_date: date | None = None,
        from_start_date: date | None = None,
    ) -> "Snapshot":
        """Read an account and its products, all at once.

        A product that cannot be read is an error in its own field; the others are there all the same.

        Args:
            account_id: The account.
            products: What to read beside the account itself.
            from_pay_date: Only paystubs of this day or later.
            from_start_date: Only shifts that began on this day or later.

        Raises:
            RequestError: An argument that the server would refuse.
            ClosedError: The client is closed, or was closed meanwhile.
        """
        from pinwheel_async.snapshot import read_snapshot  # noqa: PLC0415  # brings the models

        return await read_snapshot(
            self, account_id, products=products, from_pay_date=from_pay_date, from_start_date=from_start_date
        )

    def _with_caller(self, wrap: "Callable[[HttpCaller], Caller]") -> "Pinwheel":
        """Return a view of this client whose endpoints call through another caller.

        The view shares the connections, the limits and the settings: opening and closing it is to open and close this.

        Args:
            wrap: Returns the other caller; it is given the one that sends requests.
        """
        view = object.__new__(type(self))
        vars(view).update(vars(self))
        view._set_groups(wrap(self._caller))  # of the same class
        return view

    def with_options(
        self,
        *,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = None,
        version: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> "Self":
        """Return a view of this client with other options: `pinwheel.with_options(timeout_s=5).income.get(account_id)`.

        It costs some microseconds, and shares connections, pace and drift with this client: it is open while that is.

        Args:
            timeout_s: Seconds for one call over all its attempts and waits.
            retry: How often and how patiently calls are repeated.
            version: API version to speak.
            extra_headers: Headers to send as well; not those that say who calls, such as `x-api-secret`. They stay at
                the API's own host.
            extra_query: Parameters to send as well, or in place of those of the same name.
            extra_body: Fields of the body to send as well, or in place of those of the same name: plain JSON values or
                models. Calls without a body, such as every GET, are left alone.

        Raises:
            ConfigurationError: A setting that cannot work.
            RequestError: An addition that cannot be sent; it names the argument, never the value.
        """
        extras = make_extras(extra_headers, extra_query, extra_body)
        del extra_headers, extra_query, extra_body  # from here on no traceback can show them
        if isinstance(extras, RequestError):
            raise extras
        changes: dict[str, Any] = {"timeout_s": timeout_s, "retry": retry, "version": version}
        settings = evolve(self.settings, **{name: value for name, value in changes.items() if value is not None})
        if version is not None:
            _warn_of_unknown_version(version)
        view = object.__new__(type(self))
        vars(view).update(vars(self))
        view._caller = self._caller.with_options(settings, extras)
        view._set_groups(view._caller)
        return view

    @overload
    def request(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        cast_to: None = None,
        name: str | None = None,
    ) -> Coroutine[Any, Any, Any]: ...

    @overload
    def request(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        cast_to: type[M],
        name: str | None = None,
    ) -> Coroutine[Any, Any, M]: ...

    def request(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        cast_to: type[Any] | None = None,
        name: str | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Call what this library has no method for, with secret, version, retries and pace as for any other call.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`. A `POST` is taken to create something: it is repeated
                only if the server cannot have received it.
            path: Path, percent-encoded, such as `/v1/accounts`: without host and query, and without `..`.
            query: Parameters: text, whole numbers, days, moments; a list is sent as a pair for each of its values.
            body: Plain JSON values, or a model.
            cast_to: Class of the object in the answer's `data`, or a page such as `Page[Paystub]`; None gives the whole
                answer as plain JSON values, and None where there is no body.
            name: Template of the path without ids, such as `/v1/accounts/{account_id}`, to stand in logs and errors;
                without it they say `(raw)`.

        Raises:
            RequestError: An argument that cannot be sent; raised before anything is awaited.
            ClosedError: The client is closed, or was closed meanwhile.
            TransportError: No reply came back.
            ApiError: The answer is not a success.
            DecodeError: The answer is no JSON, or not of the shape of *cast_to*.
        """
        call = raw_call(method, path, query=query, body=body, cast_to=cast_to, name=name)
        del path, query, body  # from here on no traceback can show them
        if isinstance(call, RequestError):
            raise call
        return self._caller.call(*call)

    def _set_groups(self, caller: "Caller") -> None:
        # Imported here, because the models behind the endpoints take 80 ms that `import pinwheel_async` should not.
        from pinwheel_async import endpoints  # noqa: PLC0415

        self.accounts = endpoints.AccountEndpoints(caller)
        self.identity = endpoints.IdentityEndpoints(caller)
        self.income = endpoints.IncomeEndpoints(caller)
        self.employment = endpoints.EmploymentEndpoints(caller)
        self.direct_deposit_allocations = endpoints.DirectDepositAllocationsEndpoints(caller)
        self.paystubs = endpoints.PaystubEndpoints(caller)
        self.shifts = endpoints.ShiftEndpoints(caller)
        self.tax_forms = endpoints.TaxFormEndpoints(caller)
        self.jobs = endpoints.JobEndpoints(caller)
        self.employers = endpoints.EmployerEndpoints(caller)
        self.platforms = endpoints.PlatformEndpoints(caller)
        self.search = endpoints.SearchEndpoints(caller)
        self.webhooks = endpoints.WebhookEndpoints(caller)
        self.documents = endpoints.DocumentEndpoints(caller)
        self.bill_navigator = endpoints.BillNavigatorEndpoints(caller)
        self.earnings_stream = endpoints.EarningsStreamEndpoints(caller)
        self.verification_reports = endpoints.VerificationReportEndpoints(caller)
        self.company_connections = endpoints.CompanyConnectionEndpoints(caller)
        self.sandbox = endpoints.SandboxEndpoints(caller)
        self.admin = endpoints.AdminEndpoints(caller)
        self.link_tokens = endpoints.LinkTokenEndpoints(caller)
        self.sites = endpoints.SiteEndpoints(caller)


def _hidden(find: Callable[[str | None], str | None], given: str | None) -> Secret | ConfigurationError:
    """Find a setting that may hold a secret; empty if there is none.

    The error is returned instead of raised, since the frames on its way hold what was given.
    """
    try:
        return Secret(find(given) or "")
    except ConfigurationError as error:
        return error.with_traceback(None)


@cache
def _warn_of_unknown_version(version: str) -> None:
    """Warn, once for each, of a version that may be misspelt: a newer one is sent, and its answers are read openly."""
    if version not in VERSIONS:
        known = ", ".join(VERSIONS)
        _log.warning(
            "the API version %s is not known to this release, which knows %s",
            version,
            known,
            extra={"event": "unknown_version"},
        )
