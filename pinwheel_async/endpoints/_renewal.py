"""Holders of documents: where their link stands, and how to get a new one."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from pinwheel_async._core.wire import SignedLink
from pinwheel_async.endpoints._base import Caller
from pinwheel_async.endpoints.paystubs import PaystubEndpoints
from pinwheel_async.models.document import Document
from pinwheel_async.models.end_user_document import EndUserDocument
from pinwheel_async.models.paystub import Paystub
from pinwheel_async.models.tax_form import TaxForm
from pinwheel_async.models.verification_report import VerificationReportVOE, VerificationReportVOIE

Holder: TypeAlias = Document | EndUserDocument | Paystub | TaxForm | VerificationReportVOE | VerificationReportVOIE
"""What a document can be downloaded by: the document itself, or an object that has one."""


def link_of(holder: Holder) -> SignedLink | None:
    """Return the link to the file, or None if there is none."""
    document: object = holder if isinstance(holder, Document) else getattr(holder, "document", None)
    url = document.download_url if isinstance(document, Document) else None
    return SignedLink(url) if url else None


def renewal_of(holder: Holder, caller: Caller) -> Callable[[], Awaitable[Holder]] | None:
    """Return what gets an object again, where that is known by the object itself and costs nothing."""
    if isinstance(holder, Paystub):
        return partial(PaystubEndpoints(caller).get, account_id=holder.account_id, paystub_id=holder.id)
    return None
