"""User input: shares of the pay, cards, documents, deposit forms."""

from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import field, frozen

from pinwheel_async._core.model import Model
from pinwheel_async.link._base import LinkEvent, link_event
from pinwheel_async.models.enums import AllocationType, BankAccountType
from pinwheel_async.models.job import SwitchAction

AmountUnit: TypeAlias = Literal["$", "%"]
"""Unit of an amount in Link v2."""


@frozen(kw_only=True, repr=False)
class LinkAmount(Model):
    """A share of the pay, as Link v2 said it. Deprecated."""

    value: Decimal | None = None
    """Dollars or percent, depending on `unit`."""
    unit: AmountUnit | str | None = None


@frozen(kw_only=True, repr=False)
class LinkAllocationTarget(Model):
    """The bank account that a share of the pay goes to."""

    account_name: str | None = field(default=None, metadata={"wire": "accountName"})
    """Name of the account, from the Link token."""
    account_type: BankAccountType | str | None = field(default=None, metadata={"wire": "accountType"})
    """Kind of bank account."""


@frozen(kw_only=True, repr=False)
class LinkAllocation(Model):
    """A share of the pay."""

    type: AllocationType | str | None = None
    """How the share is expressed."""
    value: Decimal | None = None
    """Percent or amount, depending on `type`; null for the remainder. The unit of an amount is (unverified)."""
    target: LinkAllocationTarget | None = None
    """Account that receives the share."""


@link_event("input_amount")
@frozen(kw_only=True, repr=False)
class LinkInputAmount(LinkEvent):
    """The user chose how much of the pay moves. Deprecated: Link v3 sends `input_allocation` instead."""

    value: Decimal
    """Dollars or percent, depending on `unit`."""
    unit: AmountUnit | str


@link_event("input_allocation")
@frozen(kw_only=True, repr=False)
class LinkInputAllocation(LinkEvent):
    """The user chose how much of the pay moves, and where to; `params` of the webhook event of the switch."""

    action: SwitchAction | str | None = None
    """Whether all of the pay moves or a part; Link v3 may send null."""
    allocation: LinkAllocation | None = None
    """The share that moves."""


@link_event("card_switch_begin")
@frozen(kw_only=True, repr=False)
class LinkCardSwitchBegin(LinkEvent):
    """The user began to switch a card."""


@link_event("doc_uploads_begin")
@frozen(kw_only=True, repr=False)
class LinkDocUploadsBegin(LinkEvent):
    """The user began to upload documents."""

    uploaded_documents_submitted_count: int | None = field(
        default=None, metadata={"wire": "uploadedDocumentsSubmittedCount"}
    )
    """Number of documents sent before; native SDKs only."""


@link_event("doc_uploads_submitted")
@frozen(kw_only=True, repr=False)
class LinkDocUploadsSubmitted(LinkEvent):
    """The user sent documents; each brings one webhook event `documents.added`."""

    uploaded_document_submitted_count: int = field(metadata={"wire": "uploadedDocumentSubmittedCount"})
    """Number of documents."""


@link_event("dd_form_begin")
@frozen(kw_only=True, repr=False)
class LinkDdFormBegin(LinkEvent):
    """The user began a direct deposit form."""


@link_event("dd_form_create")
@frozen(kw_only=True, repr=False)
class LinkDdFormCreate(LinkEvent):
    """A direct deposit form was made."""

    url: str
    """Where it can be fetched; it holds account numbers, so the URL is a secret."""


@link_event("dd_form_download")
@frozen(kw_only=True, repr=False)
class LinkDdFormDownload(LinkEvent):
    """The user downloaded the direct deposit form."""
