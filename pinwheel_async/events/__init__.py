"""Webhook events: one class per event, one family per file.

A handler may be registered for an event (`PaystubsFullySynced`), for a family (`PaystubsEvent`, `AccountEvent`), or for
everything (`Event`). A delivery's payload is flat in its event: `event.account_id`, `event.outcome`, `event.params`.

```
Event
├─ AccountEvent               one account
│  ├─ AccountAdded …          no job: connected, monitoring, recommendations
│  └─ JobEvent                a job on it ended, well or not
│     ├─ EmploymentAdded  IdentityAdded  IncomeAdded  TaxFormsAdded  PaycheckViewerAdded
│     ├─ PaystubsEvent        batches, and marks reached
│     ├─ ShiftsEvent          batches, and marks reached
│     ├─ DirectDepositEvent
│     ├─ BillSwitchEvent
│     └─ PayoutCardsAdded  CardSwitchAdded            (retired)
├─ EndUserEvent               one end user, no single account
│  ├─ DocumentsAdded  EarningsStreamPayoutsRefreshed  VerificationReportsRefreshed
│  └─ BillEvent
├─ CompanyConnectEvent        one company connection
│  ├─ CompanyConnectDataEvent
│  └─ CompanyConnectStatusUpdated
└─ UnknownEvent               a name that this version does not know
```
"""

from pinwheel_async.events._base import (
    ALIASES,
    EVENTS,
    AccountEvent,
    Changed,
    EndUserEvent,
    Event,
    JobErrorType,
    JobEvent,
    JobName,
    UnknownEvent,
)
from pinwheel_async.events._decode import DecodedEvent, decode_event
from pinwheel_async.events.account import (
    AccountAdded,
    AccountAdditionalConnectionsRecommended,
    AccountDisconnected,
    AccountMonitoringStatusUpdated,
    AccountReconnected,
)
from pinwheel_async.events.bill import BillAdded, BillChangeEvent, BillEvent, BillReminder, BillRemoved, BillUpdated
from pinwheel_async.events.bill_switch import (
    BillCancellationParams,
    BillParams,
    BillSwitchAdded,
    BillSwitchCancelled,
    BillSwitchEvent,
    BillSwitchParams,
)
from pinwheel_async.events.card_switch import CardSwitchAdded, CardSwitchParams, PayoutCardsAdded
from pinwheel_async.events.company_connect import (
    CompanyConnectCensusAdded,
    CompanyConnectDataEvent,
    CompanyConnectEmploymentsAdded,
    CompanyConnectEvent,
    CompanyConnectIncomesAdded,
    CompanyConnectStatusUpdated,
)
from pinwheel_async.events.direct_deposit import (
    DirectDepositAllocationsAdded,
    DirectDepositEvent,
    DirectDepositPaymentAdded,
    DirectDepositPaymentParams,
    DirectDepositSwitchAdded,
    DirectDepositSwitchParams,
    SwitchAllocation,
)
from pinwheel_async.events.documents import DocumentsAdded, DocumentsParams
from pinwheel_async.events.earnings_stream import EarningsStreamPayoutsRefreshed
from pinwheel_async.events.income_and_employment import EmploymentAdded, IdentityAdded, IncomeAdded
from pinwheel_async.events.paycheck_viewer import PaycheckViewerAdded
from pinwheel_async.events.paystubs import (
    PaystubsAdded,
    PaystubsDocumentsAdded,
    PaystubsDocumentsParams,
    PaystubsEvent,
    PaystubsFullySynced,
    PaystubsNinetyDaysSynced,
    PaystubsParams,
    PaystubsSevenDaysSynced,
    PaystubsThirtyDaysSynced,
)
from pinwheel_async.events.shifts import (
    ShiftsAdded,
    ShiftsEvent,
    ShiftsFullySynced,
    ShiftsNinetyDaysSynced,
    ShiftsParams,
    ShiftsSevenDaysSynced,
    ShiftsThirtyDaysSynced,
)
from pinwheel_async.events.tax_forms import TaxFormsAdded, TaxFormsParams
from pinwheel_async.events.verification_reports import (
    ReportAvailability,
    ReportsAvailability,
    ReportStatus,
    VerificationReportsRefreshed,
)

__all__ = [
    "ALIASES",
    "EVENTS",
    "AccountAdded",
    "AccountAdditionalConnectionsRecommended",
    "AccountDisconnected",
    "AccountEvent",
    "AccountMonitoringStatusUpdated",
    "AccountReconnected",
    "BillAdded",
    "BillCancellationParams",
    "BillChangeEvent",
    "BillEvent",
    "BillParams",
    "BillReminder",
    "BillRemoved",
    "BillSwitchAdded",
    "BillSwitchCancelled",
    "BillSwitchEvent",
    "BillSwitchParams",
    "BillUpdated",
    "CardSwitchAdded",
    "CardSwitchParams",
    "Changed",
    "CompanyConnectCensusAdded",
    "CompanyConnectDataEvent",
    "CompanyConnectEmploymentsAdded",
    "CompanyConnectEvent",
    "CompanyConnectIncomesAdded",
    "CompanyConnectStatusUpdated",
    "DecodedEvent",
    "DirectDepositAllocationsAdded",
    "DirectDepositEvent",
    "DirectDepositPaymentAdded",
    "DirectDepositPaymentParams",
    "DirectDepositSwitchAdded",
    "DirectDepositSwitchParams",
    "DocumentsAdded",
    "DocumentsParams",
    "EarningsStreamPayoutsRefreshed",
    "EmploymentAdded",
    "EndUserEvent",
    "Event",
    "IdentityAdded",
    "IncomeAdded",
    "JobErrorType",
    "JobEvent",
    "JobName",
    "PaycheckViewerAdded",
    "PayoutCardsAdded",
    "PaystubsAdded",
    "PaystubsDocumentsAdded",
    "PaystubsDocumentsParams",
    "PaystubsEvent",
    "PaystubsFullySynced",
    "PaystubsNinetyDaysSynced",
    "PaystubsParams",
    "PaystubsSevenDaysSynced",
    "PaystubsThirtyDaysSynced",
    "ReportAvailability",
    "ReportStatus",
    "ReportsAvailability",
    "ShiftsAdded",
    "ShiftsEvent",
    "ShiftsFullySynced",
    "ShiftsNinetyDaysSynced",
    "ShiftsParams",
    "ShiftsSevenDaysSynced",
    "ShiftsThirtyDaysSynced",
    "SwitchAllocation",
    "TaxFormsAdded",
    "TaxFormsParams",
    "UnknownEvent",
    "VerificationReportsRefreshed",
    "decode_event",
]
