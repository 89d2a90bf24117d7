"""Endpoints of the API: rows of data, each with a thin typed method, one file per group.

Importing this package imports none of the groups; a name brings its file in when it is first asked for. To add an
endpoint, write a row and a method under it; to add a group, name its class here and give `Pinwheel` an attribute.
"""

from typing import TYPE_CHECKING

from pinwheel_async import _lazy

if TYPE_CHECKING:
    from pinwheel_async._core.endpoint import Endpoint
    from pinwheel_async.endpoints._paged import Paged
    from pinwheel_async.endpoints._table import ENDPOINTS
    from pinwheel_async.endpoints.account_data import (
        DirectDepositAllocationsEndpoints,
        EmploymentEndpoints,
        IdentityEndpoints,
        IncomeEndpoints,
    )
    from pinwheel_async.endpoints.accounts import AccountEndpoints
    from pinwheel_async.endpoints.admin import AdminEndpoints
    from pinwheel_async.endpoints.bill_navigator import BillNavigatorEndpoints
    from pinwheel_async.endpoints.company_connections import CompanyConnectionEndpoints
    from pinwheel_async.endpoints.documents import DocumentEndpoints
    from pinwheel_async.endpoints.earnings_stream import EarningsStreamEndpoints
    from pinwheel_async.endpoints.employers import EmployerEndpoints
    from pinwheel_async.endpoints.jobs import JobEndpoints
    from pinwheel_async.endpoints.link_tokens import LinkTokenEndpoints
    from pinwheel_async.endpoints.paystubs import PaystubEndpoints
    from pinwheel_async.endpoints.platforms import PlatformEndpoints
    from pinwheel_async.endpoints.sandbox import SandboxEndpoints
    from pinwheel_async.endpoints.search import SearchEndpoints
    from pinwheel_async.endpoints.shifts import ShiftEndpoints
    from pinwheel_async.endpoints.sites import SiteEndpoints
    from pinwheel_async.endpoints.tax_forms import TaxFormEndpoints
    from pinwheel_async.endpoints.verification_reports import VerificationReportEndpoints
    from pinwheel_async.endpoints.webhooks import WebhookEndpoints

__all__ = [
    "ENDPOINTS",
    "AccountEndpoints",
    "AdminEndpoints",
    "BillNavigatorEndpoints",
    "CompanyConnectionEndpoints",
    "DirectDepositAllocationsEndpoints",
    "DocumentEndpoints",
    "EarningsStreamEndpoints",
    "EmployerEndpoints",
    "EmploymentEndpoints",
    "Endpoint",
    "IdentityEndpoints",
    "IncomeEndpoints",
    "JobEndpoints",
    "LinkTokenEndpoints",
    "Paged",
    "PaystubEndpoints",
    "PlatformEndpoints",
    "SandboxEndpoints",
    "SearchEndpoints",
    "ShiftEndpoints",
    "SiteEndpoints",
    "TaxFormEndpoints",
    "VerificationReportEndpoints",
    "WebhookEndpoints",
]

_NAMES = {
    "_core.endpoint": "Endpoint",
    "endpoints._paged": "Paged",
    "endpoints._table": "ENDPOINTS",
    "endpoints.account_data": "DirectDepositAllocationsEndpoints EmploymentEndpoints IdentityEndpoints IncomeEndpoints",
    "endpoints.accounts": "AccountEndpoints",
    "endpoints.admin": "AdminEndpoints",
    "endpoints.bill_navigator": "BillNavigatorEndpoints",
    "endpoints.company_connections": "CompanyConnectionEndpoints",
    "endpoints.documents": "DocumentEndpoints",
    "endpoints.earnings_stream": "EarningsStreamEndpoints",
    "endpoints.employers": "EmployerEndpoints",
    "endpoints.jobs": "JobEndpoints",
    "endpoints.link_tokens": "LinkTokenEndpoints",
    "endpoints.paystubs": "PaystubEndpoints",
    "endpoints.platforms": "PlatformEndpoints",
    "endpoints.sandbox": "SandboxEndpoints",
    "endpoints.search": "SearchEndpoints",
    "endpoints.shifts": "ShiftEndpoints",
    "endpoints.sites": "SiteEndpoints",
    "endpoints.tax_forms": "TaxFormEndpoints",
    "endpoints.verification_reports": "VerificationReportEndpoints",
    "endpoints.webhooks": "WebhookEndpoints",
}
"""The names that each file gives to this package."""

_HOMES = {name: f"pinwheel_async.{module}" for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass
    __getattr__, __dir__ = _lazy.attach(__name__, _HOMES)
