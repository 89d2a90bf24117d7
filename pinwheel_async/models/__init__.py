"""Models of what the API returns and accepts: frozen values, one noun per file.

Importing this package imports none of those files; a name brings its file in when it is first asked for. Every enum is
open: fields are typed `JobType | str`, so that a value the API adds later still fits.
"""

from typing import TYPE_CHECKING

from pinwheel_async import _lazy

if TYPE_CHECKING:
    from pinwheel_async._core.fields import MinorUnits, Timestamp, Year
    from pinwheel_async.models.account import Account, AccountDataRefreshedAt, AccountDataUpdatedAt, MonitoringStatus
    from pinwheel_async.models.admin import (
        AdminToken,
        AdminTokenRequest,
        ApiKey,
        ApiKeyCreated,
        ApiKeyRequest,
        ApiKeyRevoked,
        UserRole,
    )
    from pinwheel_async.models.allocation import DepositAccountType, DirectDepositAllocation, DirectDepositAllocations
    from pinwheel_async.models.bill_navigator import BillNavigatorAction, BillNavigatorStatusRequest
    from pinwheel_async.models.company_connect import (
        CompanyConnection,
        CompanyConnectionRequest,
        CompanyConnectionStatus,
        CompanyConnectJob,
        CompanyConnectLinkToken,
        CompanyConnectLinkTokenRequest,
        CompanyConnectOptions,
        CompanyEmployment,
        CompanyIdentity,
        CompanyIncome,
        CompanyPaystub,
        EmploymentType,
    )
    from pinwheel_async.models.document import Document, FieldWarning, FieldWarningStatus
    from pinwheel_async.models.earnings_stream import EarningsStreamEarning, EarningsStreamPayout, NetPay, PayoutStatus
    from pinwheel_async.models.employer import Employer
    from pinwheel_async.models.employment import Employment
    from pinwheel_async.models.end_user_document import DocumentFraud, EndUserDocument, FraudStatus
    from pinwheel_async.models.enums import (
        AllocationType,
        BankAccountType,
        CompanyJobType,
        CompensationUnit,
        Currency,
        DocumentType,
        EarningCategory,
        EmploymentStatus,
        JobType,
        Language,
        Mode,
        PayFrequency,
        PlatformType,
        TimeOffCategory,
    )
    from pinwheel_async.models.error import ErrorType
    from pinwheel_async.models.identity import Address, Country, Identity, PhoneNumber, PhoneNumberType
    from pinwheel_async.models.income import Income
    from pinwheel_async.models.job import (
        BillDetectionMethod,
        BillFrequency,
        BillPaymentType,
        Job,
        JobAllocation,
        JobAllocationTarget,
        JobMerchantPayment,
        JobOutcome,
        JobParams,
        SwitchAction,
        SyncStatus,
    )
    from pinwheel_async.models.legacy import (
        LegacyJobName,
        LegacyLinkTokenRequest,
        LegacySite,
        LegacySiteRequest,
    )
    from pinwheel_async.models.link_token import (
        AllocationRequestType,
        LinkToken,
        LinkTokenAllocation,
        LinkTokenBankAccount,
        LinkTokenCard,
        LinkTokenEndUser,
        LinkTokenRequest,
        LinkTokenRequest20231122,
        PlatformMatching,
        PlatformType20231122,
        RequiredJob,
        Solution,
        UploadRoute,
        UseCase,
        UsState,
    )
    from pinwheel_async.models.meta import (
        FreshnessPaginationMeta,
        ListMeta,
        PaginationMeta,
        RefreshableMeta,
        RefreshablePaginationMeta,
    )
    from pinwheel_async.models.paystub import (
        Deduction,
        DeductionCategory,
        DeductionType,
        Earning,
        Paystub,
        Tax,
        TaxCategory,
        TimeOff,
    )
    from pinwheel_async.models.platform import MerchantCategory, Platform
    from pinwheel_async.models.sandbox import SandboxMonitoringStatus, SandboxMonitoringStatusRequest
    from pinwheel_async.models.search import SearchResult, SearchResultType
    from pinwheel_async.models.shift import Shift, ShiftEarning, ShiftTimestamp, ShiftType
    from pinwheel_async.models.tax_form import (
        TaxForm,
        TaxFormSummary,
        TaxFormType,
        TaxFormW2,
        W2Box12,
        W2Box13,
        W2Box15To20,
        W2BoxC,
    )
    from pinwheel_async.models.uploaded import (
        UploadedBankStatement,
        UploadedBankStatementAccount,
        UploadedBankStatementTransaction,
        UploadedDeduction,
        UploadedDocumentApplicant,
        UploadedEarning,
        UploadedPaystub,
        UploadedPaystubEmployee,
        UploadedPaystubEmployer,
        UploadedSSIAwardLetter,
        UploadedTax,
        UploadedTimeOff,
        UploadedW2,
    )
    from pinwheel_async.models.verification_report import (
        VerificationReportAnnualIncome,
        VerificationReportEarningsYtd,
        VerificationReportEmployee,
        VerificationReportEmployeeName,
        VerificationReportEmployment,
        VerificationReportIncome,
        VerificationReportIncomeAndEmployment,
        VerificationReportPaystub,
        VerificationReportType,
        VerificationReportVOE,
        VerificationReportVOIE,
    )
    from pinwheel_async.models.webhook import (
        Webhook,
        WebhookEventName,
        WebhookRequest,
        WebhookStatus,
        WebhookUpdateRequest,
        WebhookVersion,
    )

# fmt: off
__all__ = [
    "Account", "AccountDataRefreshedAt", "AccountDataUpdatedAt", "Address", "AdminToken", "AdminTokenRequest",
    "AllocationRequestType", "AllocationType", "ApiKey", "ApiKeyCreated", "ApiKeyRequest", "ApiKeyRevoked",
    "BankAccountType", "BillDetectionMethod", "BillFrequency", "BillNavigatorAction", "BillNavigatorStatusRequest",
    "BillPaymentType", "CompanyConnectJob", "CompanyConnectLinkToken", "CompanyConnectLinkTokenRequest",
    "CompanyConnectOptions", "CompanyConnection", "CompanyConnectionRequest", "CompanyConnectionStatus",
    "CompanyEmployment", "CompanyIdentity", "CompanyIncome", "CompanyJobType", "CompanyPaystub", "CompensationUnit",
    "Country", "Currency", "Deduction", "DeductionCategory", "DeductionType", "DepositAccountType",
    "DirectDepositAllocation", "DirectDepositAllocations", "Document", "DocumentFraud", "DocumentType", "Earning",
    "EarningCategory", "EarningsStreamEarning", "EarningsStreamPayout", "Employer", "Employment",
    "EmploymentStatus", "EmploymentType", "EndUserDocument", "ErrorType", "FieldWarning", "FieldWarningStatus",
    "FraudStatus", "FreshnessPaginationMeta", "Identity", "Income", "Job", "JobAllocation", "JobAllocationTarget",
    "JobMerchantPayment", "JobOutcome", "JobParams", "JobType", "Language", "LegacyJobName",
    "LegacyLinkTokenRequest", "LegacySite", "LegacySiteRequest", "LinkToken", "LinkTokenAllocation",
    "LinkTokenBankAccount", "LinkTokenCard", "LinkTokenEndUser", "LinkTokenRequest", "LinkTokenRequest20231122",
    "ListMeta", "MerchantCategory", "MinorUnits", "Mode", "MonitoringStatus", "NetPay", "PaginationMeta",
    "PayFrequency", "PayoutStatus", "Paystub", "PhoneNumber", "PhoneNumberType", "Platform", "PlatformMatching",
    "PlatformType", "PlatformType20231122", "RefreshableMeta", "RefreshablePaginationMeta", "RequiredJob",
    "SandboxMonitoringStatus", "SandboxMonitoringStatusRequest", "SearchResult", "SearchResultType", "Shift",
    "ShiftEarning", "ShiftTimestamp", "ShiftType", "Solution", "SwitchAction", "SyncStatus", "Tax", "TaxCategory",
    "TaxForm", "TaxFormSummary", "TaxFormType", "TaxFormW2", "TimeOff", "TimeOffCategory", "Timestamp",
    "UploadRoute", "UploadedBankStatement", "UploadedBankStatementAccount", "UploadedBankStatementTransaction",
    "UploadedDeduction", "UploadedDocumentApplicant", "UploadedEarning", "UploadedPaystub",
    "UploadedPaystubEmployee", "UploadedPaystubEmployer", "UploadedSSIAwardLetter", "UploadedTax",
    "UploadedTimeOff", "UploadedW2", "UsState", "UseCase", "UserRole", "VerificationReportAnnualIncome",
    "VerificationReportEarningsYtd", "VerificationReportEmployee", "VerificationReportEmployeeName",
    "VerificationReportEmployment", "VerificationReportIncome", "VerificationReportIncomeAndEmployment",
    "VerificationReportPaystub", "VerificationReportType", "VerificationReportVOE", "VerificationReportVOIE",
    "W2Box12", "W2Box13", "W2Box15To20", "W2BoxC", "Webhook", "WebhookEventName", "WebhookRequest", "WebhookStatus",
    "WebhookUpdateRequest", "WebhookVersion", "Year",
]

_NAMES = {
    "_core.fields": "MinorUnits Timestamp Year",
    "models.account": "Account AccountDataRefreshedAt AccountDataUpdatedAt MonitoringStatus",
    "models.admin": "AdminToken AdminTokenRequest ApiKey ApiKeyCreated ApiKeyRequest ApiKeyRevoked UserRole",
    "models.allocation": "DepositAccountType DirectDepositAllocation DirectDepositAllocations",
    "models.bill_navigator": "BillNavigatorAction BillNavigatorStatusRequest",
    "models.company_connect":
        "CompanyConnectJob CompanyConnectLinkToken CompanyConnectLinkTokenRequest CompanyConnectOptions "
        "CompanyConnection CompanyConnectionRequest CompanyConnectionStatus CompanyEmployment CompanyIdentity "
        "CompanyIncome CompanyPaystub EmploymentType",
    "models.document": "Document FieldWarning FieldWarningStatus",
    "models.earnings_stream": "EarningsStreamEarning EarningsStreamPayout NetPay PayoutStatus",
    "models.employer": "Employer",
    "models.employment": "Employment",
    "models.end_user_document": "DocumentFraud EndUserDocument FraudStatus",
    "models.enums":
        "AllocationType BankAccountType CompanyJobType CompensationUnit Currency DocumentType EarningCategory "
        "EmploymentStatus JobType Language Mode PayFrequency PlatformType TimeOffCategory",
    "models.error": "ErrorType",
    "models.identity": "Address Country Identity PhoneNumber PhoneNumberType",
    "models.income": "Income",
    "models.job":
        "BillDetectionMethod BillFrequency BillPaymentType Job JobAllocation JobAllocationTarget JobMerchantPayment "
        "JobOutcome JobParams SwitchAction SyncStatus",
    "models.legacy": "LegacyJobName LegacyLinkTokenRequest LegacySite LegacySiteRequest",
    "models.link_token":
        "AllocationRequestType LinkToken LinkTokenAllocation LinkTokenBankAccount LinkTokenCard LinkTokenEndUser "
        "LinkTokenRequest LinkTokenRequest20231122 PlatformMatching PlatformType20231122 RequiredJob Solution "
        "UploadRoute UsState UseCase",
    "models.meta": "FreshnessPaginationMeta ListMeta PaginationMeta RefreshableMeta RefreshablePaginationMeta",
    "models.paystub": "Deduction DeductionCategory DeductionType Earning Paystub Tax TaxCategory TimeOff",
    "models.platform": "MerchantCategory Platform",
    "models.sandbox": "SandboxMonitoringStatus SandboxMonitoringStatusRequest",
    "models.search": "SearchResult SearchResultType",
    "models.shift": "Shift ShiftEarning ShiftTimestamp ShiftType",
    "models.tax_form": "TaxForm TaxFormSummary TaxFormType TaxFormW2 W2Box12 W2Box13 W2Box15To20 W2BoxC",
    "models.uploaded":
        "UploadedBankStatement UploadedBankStatementAccount UploadedBankStatementTransaction UploadedDeduction "
        "UploadedDocumentApplicant UploadedEarning UploadedPaystub UploadedPaystubEmployee UploadedPaystubEmployer "
        "UploadedSSIAwardLetter UploadedTax UploadedTimeOff UploadedW2",
    "models.verification_report":
        "VerificationReportAnnualIncome VerificationReportEarningsYtd VerificationReportEmployee "
        "VerificationReportEmployeeName VerificationReportEmployment VerificationReportIncome "
        "VerificationReportIncomeAndEmployment VerificationReportPaystub VerificationReportType VerificationReportVOE "
        "VerificationReportVOIE",
    "models.webhook": "Webhook WebhookEventName WebhookRequest WebhookStatus WebhookUpdateRequest WebhookVersion",
}
"""The names that each file gives to this package."""
# fmt: on

_HOMES = {name: f"pinwheel_async.{module}" for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # a checker that saw this would let misspelt names pass
    __getattr__, __dir__ = _lazy.attach(__name__, _HOMES)
