"""The client: one attribute per group of endpoints."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import date
from types import TracebackType
from typing import TYPE_CHECKING

from pinwheel_async._core.retry import RetryPolicy
from pinwheel_async._hop import Secret
from pinwheel_async._http import HttpCaller
from pinwheel_async.errors import ConfigurationError
from pinwheel_async.products import PRODUCTS, Product
from pinwheel_async.settings import LATEST_VERSION, Environment, Settings, base_url as url_of, find_secret

if TYPE_CHECKING:
    from typing import Self

    import aiohttp

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


class Pinwheel:
    """A client of the Pinwheel API, for one event loop.

    It holds a pool of connections: open one for the life of your program, not one per call.

    ```python
    async with Pinwheel(api_secret, environment="sandbox") as pinwheel:
        income = await pinwheel.income.get(account_id)
    ```

    Calls raise subclasses of `PinwheelError`: `TransportError` where no reply came, `ApiError` where it was no success,
    `DecodeError` where it was not of the documented shape. Calls that can be repeated are, as `retry` says.
    """

    accounts: "AccountEndpoints"
    """The payroll accounts that end users connected."""
    identity: "IdentityEndpoints"
    """Who the end user is."""
    income: "IncomeEndpoints"
    """What the job pays."""
    employment: "EmploymentEndpoints"
    """Employer, title, status and dates of the job."""
    direct_deposit_allocations: "DirectDepositAllocationsEndpoints"
    """Where the pay goes."""
    paystubs: "PaystubEndpoints"
    """What was paid, taxed and deducted."""
    shifts: "ShiftEndpoints"
    """When was worked."""
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
    """Which URLs are told about what."""
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
    """What only the sandbox can do."""
    admin: "AdminEndpoints"
    """API keys, by an admin token instead of the secret."""
    link_tokens: "LinkTokenEndpoints"
    """Tokens that open Link in an end user's browser."""
    sites: "SiteEndpoints"
    """Hosted pages, which only the oldest API made; deprecated."""

    def __init__(
        self,
        api_secret: str | None = None,
        *,
        environment: Environment = "sandbox",
        base_url: str | None = None,
        version: str = LATEST_VERSION,
        timeout_s: float = 60.0,
        attempt_timeout_s: float = 30.0,
        concurrency: int = 64,
        requests_per_s: float | None = None,
        retry: RetryPolicy | None = None,
        session: "aiohttp.ClientSession | None" = None,
    ) -> None:
        """Describe a client; nothing is sent and no connection made before it is opened.

        Args:
            api_secret: The secret of an API key; None takes it from the variable `PINWHEEL_API_SECRET`.
            environment: Where the API key belongs.
            base_url: Scheme and host to call instead of the environment's.
            version: API version to speak, a date.
            timeout_s: Seconds for one call over all its attempts and waits.
            attempt_timeout_s: Seconds for one attempt.
            concurrency: Most requests in flight at once; fewer while the server asks to slow down.
            requests_per_s: Most requests begun per second, on average; None means no cap.
            retry: How often and how patiently calls are repeated; None means 4 attempts.
            session: A session of your own (for a proxy, say), which this client uses and never closes.

        Raises:
            ConfigurationError: A setting that cannot work, or no secret.
        """
        secret = _secret(api_secret)
        del api_secret  # from here on no traceback can show it
        if isinstance(secret, ConfigurationError):
            raise secret
        settings = Settings(
            base_url=url_of(environment) if base_url is None else base_url,
            version=version,
            timeout_s=timeout_s,
            attempt_timeout_s=attempt_timeout_s,
            concurrency=concurrency,
            requests_per_s=requests_per_s,
            retry=retry or RetryPolicy(),
        )
        self._caller = HttpCaller(secret, settings, session=session)
        self._set_groups(self._caller)

    def __repr__(self) -> str:
        """Return where the client calls, which version it speaks, and whether it is open."""
        if "_caller" not in vars(self):  # a traceback out of __init__ may ask
            return "<Pinwheel>"
        settings = self._caller.settings
        return f"<Pinwheel {settings.base_url} {settings.version} {'open' if self._caller.is_open else 'closed'}>"

    async def __aenter__(self) -> "Self":
        """Open the client."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.close()

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
        """Keep the client open while an aiohttp application runs: `app.cleanup_ctx.append(pinwheel.cleanup_ctx)`."""
        async with self:
            yield

    @property
    def settings(self) -> Settings:
        """What the client was told."""
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
        """Seconds until calls are sent again after the server asked to slow down; 0 when nothing waits for that."""
        return self._caller.paused_s

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


def _secret(api_secret: str | None) -> Secret | ConfigurationError:
    """Find the secret; return the error instead of raising it, since the frames on its way hold what was given."""
    try:
        return Secret(find_secret(api_secret))
    except ConfigurationError as error:
        return error.with_traceback(None)
