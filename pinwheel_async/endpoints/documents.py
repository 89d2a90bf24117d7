"""Documents of an end user: uploads and filled forms."""

from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.end_user_document import EndUserDocument
from pinwheel_async.models.enums import DocumentType

_LIST = page(
    "list_end_user_documents",
    "/v1/end_users/{end_user_id}/documents",
    EndUserDocument,
    query=("type",),
)
_GET = item("get_end_user_document", "GET", "/v1/end_users/{end_user_id}/documents/{document_id}", EndUserDocument)


class DocumentEndpoints(Endpoints):
    """Documents of an end user. Their URLs are signed, valid for 15 minutes, and need no secret: keep them private."""

    __slots__ = ()

    def list(self, end_user_id: str, *, type: DocumentType | str | None = None) -> Paged[EndUserDocument]:
        """List the documents of an end user.

        The API calls this list paginated but documents neither `limit` nor `cursor`. A cursor that comes with a page is
        sent back for the next one, as with any other list; that the server follows it is unverified.

        Args:
            end_user_id: Your own id of the user; blanks at its ends are removed, as the server does.
            type: Only documents of this type; `direct_deposit_form` is the one that the API documents here.
        """
        return self._paged(_LIST, path={"end_user_id": end_user_id}, query={"type": type})

    async def get(self, *, end_user_id: str, document_id: str) -> EndUserDocument:
        """Get one document of an end user, with a new URL to download it."""
        return await self._call(_GET, path={"end_user_id": end_user_id, "document_id": document_id})
