"""Verification reports about an end user."""

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.models.verification_report import VerificationReportVOE, VerificationReportVOIE

_GET_VOIE = item(
    "get_voie_report", "GET", "/v1/end_users/{end_user_id}/verification_reports/voie", VerificationReportVOIE
)
_GET_VOE = item("get_voe_report", "GET", "/v1/end_users/{end_user_id}/verification_reports/voe", VerificationReportVOE)


class VerificationReportEndpoints(Endpoints):
    """Reports that lenders ask for, over all accounts of an end user."""

    __slots__ = ()

    async def get_voie(self, end_user_id: Id) -> VerificationReportVOIE:
        """Get the verification of income and employment; amounts are minor units."""
        return await self._call(_GET_VOIE, path={"end_user_id": end_user_id})

    async def get_voe(self, end_user_id: Id) -> VerificationReportVOE:
        """Get the verification of employment, which says nothing of income."""
        return await self._call(_GET_VOE, path={"end_user_id": end_user_id})
