"""Link tokens: each opens Link once, for one end user.

The request has two forms, that of 2025-07-08 (`solution` and `features`) and that of 2023-11-22 (`required_jobs`), and
a flat one from before 2021-04-29, which is deprecated.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, overload

from typing_extensions import deprecated

from pinwheel_async._core.arguments import Id, id_text, meant, text_of
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._link_token_validation import AnyLinkTokenRequest, legacy_problems, problems
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.errors import RequestError
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

# A second Link token is harmless: nobody opens Link with the first, and it expires.
_CREATE = item("create_link_token", "POST", "/v1/link_tokens", LinkToken, body=LinkTokenRequest, repeatable=True)
_CREATE_LEGACY = item(
    "legacy_create_link_token",
    "POST",
    "/v1/link_tokens",
    LinkToken,
    body=LegacyLinkTokenRequest,
    repeatable=True,
    deprecated=True,
)
_LIST_JOBS = page(
    "legacy_list_link_token_jobs", "/v1/link_tokens/{token_id}/jobs", Job, meta=None, query=(), deprecated=True
)

_ONLY_2025 = ("solution", "features", "use_case", "cards", "reseller_customer_id")


class LinkTokenEndpoints(Endpoints):
    """Tokens that open Link. Make one for every opening: it lives for about an hour and works once."""

    __slots__ = ()

    @overload
    async def create(
        self,
        *,
        org_name: str,
        solution: Solution,
        features: Collection[JobType] | None = None,
        end_user_id: Id | None = None,
        account_id: Id | None = None,
        employer_id: Id | None = None,
        platform_id: Id | None = None,
        platform_type: PlatformType | None = None,
        allocation: LinkTokenAllocation | Mapping[str, Any] | None = None,
        disable_direct_deposit_splitting: bool = False,
        skip_intro_screen: bool = False,
        language: Language = "en",
        document_uploads: UploadRoute | None = None,
        deposit_forms: UploadRoute | None = None,
        tags: Mapping[str, str] | None = None,
        end_user: LinkTokenEndUser | Mapping[str, Any] | None = None,
        use_case: UseCase | None = None,
        cards: Collection[LinkTokenCard | Mapping[str, Any]] | None = None,
        reseller_customer_id: str | None = None,
    ) -> LinkToken: ...

    @overload
    async def create(
        self,
        *,
        org_name: str,
        required_jobs: Collection[RequiredJob] | None = None,
        end_user_id: Id | None = None,
        account_id: Id | None = None,
        employer_id: Id | None = None,
        platform_id: Id | None = None,
        platform_type: PlatformType20231122 | None = None,
        allocation: LinkTokenAllocation | Mapping[str, Any] | None = None,
        disable_direct_deposit_splitting: bool = False,
        skip_intro_screen: bool = False,
        language: Language = "en",
        document_uploads: UploadRoute | None = None,
        deposit_forms: UploadRoute | None = None,
        tags: Mapping[str, str] | None = None,
        end_user: LinkTokenEndUser | Mapping[str, Any] | None = None,
    ) -> LinkToken: ...

    async def create(
        self,
        *,
        org_name: str,
        solution: "Solution | None" = None,
        features: "Collection[JobType] | None" = None,
        required_jobs: "Collection[RequiredJob] | None" = None,
        end_user_id: "Id | None" = None,
        account_id: "Id | None" = None,
        employer_id: "Id | None" = None,
        platform_id: "Id | None" = None,
        platform_type: "PlatformType | None" = None,
        allocation: "LinkTokenAllocation | Mapping[str, Any] | None" = None,
        disable_direct_deposit_splitting: bool = False,
        skip_intro_screen: bool = False,
        language: "Language" = "en",
        document_uploads: "UploadRoute | None" = None,
        deposit_forms: "UploadRoute | None" = None,
        tags: "Mapping[str, str] | None" = None,
        end_user: "LinkTokenEndUser | Mapping[str, Any] | None" = None,
        use_case: "UseCase | None" = None,
        cards: "Collection[LinkTokenCard | Mapping[str, Any]] | None" = None,
        reseller_customer_id: "str | None" = None,
        **misspelt: object,
    ) -> LinkToken:
        """Create a link token. Keep its `id`: webhooks name it as `link_token_id`.

        The arguments choose the form of the request, and with it the API version of this one call: `solution` means
        2025-07-08, whatever the client speaks; without it, it is the form of 2023-11-22.

        Args:
            org_name: App name shown in Link; 3 to 30 characters.
            solution: Product that Link shows, such as `Verify`; only in the form of 2025-07-08.
            features: Jobs to run, in the form of 2025-07-08. Employers and platforms that do not support all of them
                are hidden. Needed unless `account_id` is given.
            required_jobs: The same in the form of 2023-11-22.
            end_user_id: Your own id of the user, 1 to 255 characters; blanks at its ends are removed, as the server
                does. No personal data, as it is logged. Needed unless `account_id` is given.
            account_id: Account to use again (On Demand Update).
            employer_id: Employer to open Link at; skips the search.
            platform_id: Platform to open Link at; skips the search.
            platform_type: Kind of platforms to find; `merchant` only in the form of 2025-07-08.
            allocation: Target of a deposit switch; amounts are dollars here, not cents. Here and below, a dict with the
                fields of the class will do.
            disable_direct_deposit_splitting: Whether to allow full switches only.
            skip_intro_screen: Whether to skip the first screen.
            language: `en` or `es`.
            document_uploads: Route to document upload: `direct`, `fallback` or `disabled`.
            deposit_forms: Route to the deposit form: `direct`, `fallback` or `disabled`.
            tags: Your own, text to text.
            end_user: Personal data that finds the user's platforms.
            use_case: Where in the app Link is opened; only in the form of 2025-07-08.
            cards: Cards for a bill switch; only in the form of 2025-07-08.
            reseller_customer_id: For resellers, at most 40 characters; only in the form of 2025-07-08.
            **misspelt: None. Any other name is refused, with the name that was probably meant.

        Raises:
            RequestError: Arguments that the server would refuse, all at once, or arguments of both forms.
        """
        fields: dict[str, object] = {
            "org_name": org_name,
            "solution": solution,
            "features": features,
            "required_jobs": required_jobs,
            "end_user_id": end_user_id,
            "account_id": account_id,
            "employer_id": employer_id,
            "platform_id": platform_id,
            "platform_type": platform_type,
            "allocation": allocation,
            "disable_direct_deposit_splitting": disable_direct_deposit_splitting,
            "skip_intro_screen": skip_intro_screen,
            "language": language,
            "document_uploads": document_uploads,
            "deposit_forms": deposit_forms,
            "tags": tags,
            "end_user": end_user,
            "use_case": use_case,
            "cards": cards,
            "reseller_customer_id": reseller_customer_id,
        }
        request = _request(fields, misspelt)
        version = "2025-07-08" if isinstance(request, LinkTokenRequest) else "2023-11-22"
        del org_name, end_user_id, reseller_customer_id, fields, misspelt
        del allocation, tags, end_user, cards
        return await self._call(_CREATE, body=request, version=version)

    @deprecated("Gone since 2021-04-29: use create()")
    async def create_legacy(
        self,
        *,
        job: LegacyJobName,
        org_name: str,
        account_number: str,
        routing_number: str,
        account_type: BankAccountType,
        account_name: str | None = None,
        amount: Decimal | None = None,
        employer_id: Id | None = None,
        platform_id: Id | None = None,
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
        fields = {
            "job": job,
            "org_name": org_name,
            "account_number": account_number,
            "routing_number": routing_number,
            "account_type": account_type,
            "account_name": account_name,
            "amount": amount,
            "employer_id": employer_id,
            "platform_id": platform_id,
            "disable_direct_deposit_splitting": disable_direct_deposit_splitting,
            "skip_exit_survey": skip_exit_survey,
        }
        request = _validation.request(LegacyLinkTokenRequest, fields, legacy_problems)
        del account_number, routing_number, account_name, amount, fields
        return await self._call(_CREATE_LEGACY, body=request)

    @deprecated("Gone since 2021-04-29: use jobs.list(link_token_id=...)")
    def list_jobs(self, link_token_id: Id) -> Paged[Job]:
        """List the jobs of one link token; one page holds them all."""
        _, problem = id_text("link_token_id", link_token_id)
        _validation.refuse(() if problem is None else (problem,))
        return self._paged(_LIST_JOBS, path={"token_id": link_token_id})


def _request(fields: dict[str, object], misspelt: Iterable[str]) -> AnyLinkTokenRequest | RequestError:
    """Build the request in the form that the arguments choose, or the error that says what no request can hold."""
    found = [f"{name} is no argument{meant(name, fields)}" for name in misspelt]
    newer = [name for name in _ONLY_2025 if fields[name] is not None]
    if newer and fields["required_jobs"] is not None:
        names = " and ".join(newer)
        found.append(f"required_jobs must be left out where {names} is given; what it lists belongs into features")
    if fields["solution"] is None:
        del fields["solution"]  # left out, not of a wrong type
    user = text_of(fields["end_user_id"])
    if user is not None:
        fields["end_user_id"] = user.strip()
    built: AnyLinkTokenRequest | RequestError
    if newer:
        built = _validation.request(LinkTokenRequest, fields, problems)
    else:
        built = _validation.request(LinkTokenRequest20231122, fields, problems)
    if not found:
        return built
    return RequestError([*found, *built.problems] if isinstance(built, RequestError) else found)
