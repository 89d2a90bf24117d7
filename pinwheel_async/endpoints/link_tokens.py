"""Link tokens: each opens Link once, for one end user.

The request has two forms, that of 2025-07-08 (`solution` and `features`) and that of 2023-11-22 (`required_jobs`), and
a flat one from before 2021-04-29, which is deprecated.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, overload

from typing_extensions import deprecated

from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints import _rules
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._link_token_rules import AnyLinkTokenRequest, legacy_problems, problems
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.enums import BankAccountType, JobType, Language, PlatformType
from pinwheel_async.models.job import Job
from pinwheel_async.models.legacy import LegacyJobName, LegacyLinkTokenRequest
from pinwheel_async.models.link_token import (
    LinkToken,
    LinkTokenAllocation,
    LinkTokenCard,
    LinkTokenEndUser,
    LinkTokenRequest,
    LinkTokenRequest20231122,
    PlatformType20231122,
    RequiredJob,
    Solution,
    UploadRoute,
    UseCase,
)

_CREATE = item("create_link_token", "POST", "/v1/link_tokens", LinkToken, body=LinkTokenRequest)
_CREATE_LEGACY = item(
    "legacy_create_link_token",
    "POST",
    "/v1/link_tokens",
    LinkToken,
    body=LegacyLinkTokenRequest,
    deprecated=True,
)
_LIST_JOBS = page("legacy_list_link_token_jobs", "/v1/link_tokens/{token_id}/jobs", Job, query=(), deprecated=True)

_ONLY_2025 = ("solution", "features", "use_case", "cards", "reseller_customer_id")


class LinkTokenEndpoints(Endpoints):
    """Tokens that open Link. Make one for every opening: it lives for about an hour and works once."""

    __slots__ = ()

    @overload
    async def create(
        self,
        *,
        org_name: str,
        solution: Solution | str,
        features: Sequence[JobType | str] | None = None,
        end_user_id: str | None = None,
        account_id: str | None = None,
        employer_id: str | None = None,
        platform_id: str | None = None,
        platform_type: PlatformType | str | None = None,
        allocation: LinkTokenAllocation | None = None,
        disable_direct_deposit_splitting: bool = False,
        skip_intro_screen: bool = False,
        language: Language | str = "en",
        document_uploads: UploadRoute | str | None = None,
        deposit_forms: UploadRoute | str | None = None,
        tags: Mapping[str, str] | None = None,
        end_user: LinkTokenEndUser | None = None,
        use_case: UseCase | str | None = None,
        cards: Sequence[LinkTokenCard] | None = None,
        reseller_customer_id: str | None = None,
    ) -> LinkToken: ...

    @overload
    async def create(
        self,
        *,
        org_name: str,
        required_jobs: Sequence[RequiredJob | str] | None = None,
        end_user_id: str | None = None,
        account_id: str | None = None,
        employer_id: str | None = None,
        platform_id: str | None = None,
        platform_type: PlatformType20231122 | str | None = None,
        allocation: LinkTokenAllocation | None = None,
        disable_direct_deposit_splitting: bool = False,
        skip_intro_screen: bool = False,
        language: Language | str = "en",
        document_uploads: UploadRoute | str | None = None,
        deposit_forms: UploadRoute | str | None = None,
        tags: Mapping[str, str] | None = None,
        end_user: LinkTokenEndUser | None = None,
    ) -> LinkToken: ...

    async def create(self, **arguments: Any) -> LinkToken:
        """Create a link token. Keep its `id`: webhooks name it as `link_token_id`.

        The arguments choose the form of the request, and with it the API version of this one call: `solution` means
        2025-07-08, whatever the client speaks; without it, it is the form of 2023-11-22.

        Args:
            **arguments: The fields of `LinkTokenRequest` or of `LinkTokenRequest20231122`:

                - `org_name`: app name shown in Link; 3 to 30 characters.
                - `solution`: product that Link shows, such as `Verify`; only in the form of 2025-07-08.
                - `features`: jobs to run, or `required_jobs` in the form of 2023-11-22. Employers and platforms that do
                  not support all of them are hidden. Needed unless `account_id` is given.
                - `end_user_id`: your own id of the user, 1 to 255 characters; blanks at its ends are removed, as the
                  server does. No personal data, as it is logged. Needed unless `account_id` is given.
                - `account_id`: account to use again (On Demand Update).
                - `employer_id`, `platform_id`: where to open Link; skips the search.
                - `platform_type`: kind of platforms to find.
                - `allocation`: target of a deposit switch; amounts are dollars here, not cents.
                - `disable_direct_deposit_splitting`: whether to allow full switches only.
                - `skip_intro_screen`: whether to skip the first screen.
                - `language`: `en` or `es`.
                - `document_uploads`, `deposit_forms`: `direct`, `fallback` or `disabled`.
                - `tags`: your own, text to text.
                - `end_user`: personal data that finds the user's platforms.
                - `use_case`, `cards`, `reseller_customer_id`: only in the form of 2025-07-08.

        Raises:
            RequestError: Arguments that the server would refuse, all at once, or arguments of both forms.
        """
        request, found = _request(arguments)
        del arguments
        _rules.refuse([*found, *problems(request)])
        version = "2025-07-08" if isinstance(request, LinkTokenRequest) else "2023-11-22"
        return await self._call(_CREATE, body=request, version=version)

    @deprecated("Gone since 2021-04-29: use create()")
    async def create_legacy(
        self,
        *,
        job: LegacyJobName | str,
        org_name: str,
        account_number: str,
        routing_number: str,
        account_type: BankAccountType | str,
        account_name: str | None = None,
        amount: Decimal | None = None,
        employer_id: str | None = None,
        platform_id: str | None = None,
        disable_direct_deposit_splitting: bool = False,
        skip_exit_survey: bool = False,
    ) -> LinkToken:
        """Create a link token for one job, in the flat form from before 2021-04-29.

        Args:
            job: Job to run.
            org_name: App name shown in Link.
            account_number: Number of the target account.
            routing_number: Routing number of the target account.
            account_type: Kind of the target account.
            account_name: Name of the target account.
            amount: Dollars with exactly two decimals; needed for `direct_deposit_payment`.
            employer_id: Employer to open Link at.
            platform_id: Platform to open Link at.
            disable_direct_deposit_splitting: Whether to allow full switches only.
            skip_exit_survey: Whether to skip the survey at the end.
        """
        request = LegacyLinkTokenRequest(
            job=job,
            org_name=org_name,
            account_number=account_number,
            routing_number=routing_number,
            account_type=account_type,
            account_name=account_name,
            amount=amount,
            employer_id=employer_id,
            platform_id=platform_id,
            disable_direct_deposit_splitting=disable_direct_deposit_splitting,
            skip_exit_survey=skip_exit_survey,
        )
        del account_number, routing_number, account_name, amount
        _rules.refuse(legacy_problems(request))
        return await self._call(_CREATE_LEGACY, body=request)

    @deprecated("Gone since 2021-04-29: use jobs.list(link_token_id=...)")
    def list_jobs(self, link_token_id: str) -> Paged[Job]:
        """List the jobs of one link token; one page holds them all."""
        return self._paged(_LIST_JOBS, path={"token_id": link_token_id})


def _request(arguments: Mapping[str, Any]) -> tuple[AnyLinkTokenRequest, list[str]]:
    """Build the request in the form that the arguments choose, and say what no request can hold."""
    given = {name: value for name, value in arguments.items() if value is not None}
    found = [one for name in ("features", "required_jobs") for one in _rules.several(name, given.get(name))]
    if isinstance(given.get("end_user_id"), str):
        given["end_user_id"] = given["end_user_id"].strip()
    for name in ("features", "required_jobs", "cards"):
        if name in given:
            given[name] = tuple(given[name])
    newer = [name for name in _ONLY_2025 if name in given]
    if not newer:
        return LinkTokenRequest20231122(**given), found
    if given.pop("required_jobs", None) is not None:
        names = " and ".join(newer)
        found.append(f"required_jobs must be left out where {names} is given; what it lists belongs into features")
    given.setdefault("solution", "")  # for the rules to find
    return LinkTokenRequest(**given), found
