"""Enums that more than one model uses; each is open: the API may send a value that is not listed here."""

from typing import Literal, TypeAlias

BankAccountType: TypeAlias = Literal["checking", "savings"]
"""Kind of a bank account."""

AllocationType: TypeAlias = Literal["amount", "percentage", "remainder"]
"""How a share of the pay is expressed."""

CompensationUnit: TypeAlias = Literal[
    "hourly",
    "daily",
    "weekly",
    "bi-weekly",
    "semi-weekly",
    "monthly",
    "semi-monthly",
    "annually",
    "variable",
    "per_mile",
]
"""What one `compensation_amount` pays for."""

# fmt: off
# In rows: one code per line would hide the rest of the file.
Currency: TypeAlias = Literal[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF",
    "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYR", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CLF",
    "CLP", "CNY", "COP", "COU", "CRC", "CUC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB",
    "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HRK", "HTG", "HUF",
    "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD",
    "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "LTL", "LVL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT",
    "MOP", "MRO", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR",
    "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG",
    "SEK", "SGD", "SHP", "SLL", "SOS", "SRD", "SSP", "STD", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY",
    "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "USN", "USS", "UYI", "UYU", "UZS", "VEF", "VND", "VUV", "WST", "XAF",
    "XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XCD", "XDR", "XOF", "XPD", "XPF", "XPT", "XTS", "XXX", "YER", "ZAR",
    "ZMW",
]
# fmt: on
"""ISO 4217 currency codes, old ones included."""

DocumentType: TypeAlias = Literal[
    "paystub",
    "W-2",
    "1099",
    "direct_deposit_form",
    "verification_report",
    "1040",
    "bank_statement",
    "ssi_award_letter",
    "w2",
    "verification_photo",
]
"""Kind of a document. `W-2` and `w2` are two values with two shapes of parsed data."""

EarningCategory: TypeAlias = Literal[
    "salary",
    "hourly",
    "overtime",
    "double_overtime",
    "premium",
    "bonus",
    "commission",
    "tips",
    "vacation",
    "holiday",
    "pto",
    "sick",
    "employer_contribution",
    "other",
    "fare",
    "unpaid",
    "parental",
    "shift_differential",
    "bereavement",
    "life_insurance",
    "stock",
    "retirement",
    "medical",
    "meal_comp",
    "disability",
    "retro_pay",
]
"""What an amount was earned with."""

EmploymentStatus: TypeAlias = Literal["employed", "terminated", "furloughed"]
"""Whether the employment goes on."""

JobType: TypeAlias = Literal[
    "direct_deposit_switch",
    "direct_deposit_allocations",
    "direct_deposit_payment",
    "employment",
    "identity",
    "income",
    "paystubs",
    "shifts",
    "tax_forms",
    "bill_switch",
    "bill_cancellation",
    "paycheck_viewer",
]
"""What a job does. `bill_switch`, `bill_cancellation` and `paycheck_viewer` are new in 2025-07-08."""

CompanyJobType: TypeAlias = Literal["company_census", "company_employments", "company_incomes", "company_paystubs"]
"""Jobs of Company Connect, which platforms and search results list among their `supported_jobs`."""

Language: TypeAlias = Literal["en", "es"]
"""Language of Link."""

Mode: TypeAlias = Literal["sandbox", "development", "production"]
"""Environment that an object belongs to."""

PayFrequency: TypeAlias = Literal["daily", "weekly", "bi-weekly", "monthly", "semi-monthly", "variable"]
"""How often pay comes."""

PlatformType: TypeAlias = Literal["payroll", "time_and_attendance", "tax", "merchant"]
"""Kind of a platform. `merchant` is new in 2025-07-08."""

TimeOffCategory: TypeAlias = Literal["pto", "sick", "other"]
"""Kind of time off."""
