"""Sites: hosted pages from before 2021-04-29, since replaced by Link tokens."""

from decimal import Decimal

from typing_extensions import deprecated

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._link_token_validation import legacy_problems
from pinwheel_async.models.enums import BankAccountType
from pinwheel_async.models.legacy import LegacyJobName, LegacySite, LegacySiteRequest

_CREATE = item("legacy_create_site", "POST", "/v1/sites", LegacySite, body=LegacySiteRequest, deprecated=True)


class SiteEndpoints(Endpoints):
    """Hosted pages, each with one job."""

    __slots__ = ()

    @deprecated("Gone since 2021-04-29: use link_tokens.create()")
    async def create(
        self,
        *,
        job: LegacyJobName,
        org_name: str,
        account_number: str,
        routing_number: str,
        account_type: BankAccountType,
        redirect_url: str,
        amount: Decimal | None = None,
        employer_id: Id | None = None,
        platform_id: Id | None = None,
        skip_exit_survey: bool = False,
        ttl: float = 900,
    ) -> LegacySite:
        """Create a hosted page.

        Args:
            job: Job to run.
            org_name: App name shown on the page.
            account_number: Number of the target account.
            routing_number: Routing number of the target account.
            account_type: Kind of the target account.
            redirect_url: Where the page leads to at the end.
            amount: Dollars with exactly two decimals; needed for `direct_deposit_payment`.
            employer_id: Employer to open the page at.
            platform_id: Platform to open the page at.
            skip_exit_survey: Whether to skip the survey at the end.
            ttl: Seconds that the page lives, 900 to 1209600.
        """
        fields = {
            "job": job,
            "org_name": org_name,
            "account_number": account_number,
            "routing_number": routing_number,
            "account_type": account_type,
            "redirect_url": redirect_url,
            "amount": amount,
            "employer_id": employer_id,
            "platform_id": platform_id,
            "skip_exit_survey": skip_exit_survey,
            "ttl": ttl,
        }
        request = _validation.request(LegacySiteRequest, fields, legacy_problems)
        del account_number, routing_number, redirect_url, amount, fields
        return await self._call(_CREATE, body=request)
