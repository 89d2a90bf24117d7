"""Documents of an end user: uploads and filled forms."""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from pinwheel_async._core.arguments import Id
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.endpoints._renewal import Holder, link_of, renewal_of
from pinwheel_async.errors import ApiError, RequestError
from pinwheel_async.models.end_user_document import EndUserDocument
from pinwheel_async.models.enums import DocumentType

_LIST = page(
    "list_end_user_documents",
    "/v1/end_users/{end_user_id}/documents",
    EndUserDocument,
    query=("type",),
    kinds={"type": DocumentType},
)
_GET = item("get_end_user_document", "GET", "/v1/end_users/{end_user_id}/documents/{document_id}", EndUserDocument)


_RUN_OUT = frozenset({403, 404, 410})
"""What a storage answers to a link that has run out."""


class DocumentEndpoints(Endpoints):
    """Documents of an end user. Their URLs are signed, valid for 15 minutes, and need no secret: keep them private."""

    __slots__ = ()

    def list(self, end_user_id: Id, *, type: DocumentType | None = None) -> Paged[EndUserDocument]:
        """List the documents of an end user.

        The API calls this list paginated but documents neither `limit` nor `cursor`. A cursor that comes with a page is
        sent back for the next one, as with any other list; that the server follows it is unverified.

        Args:
            end_user_id: Your own id of the user; blanks at its ends are removed, as the server does.
            type: Only documents of this type; `direct_deposit_form` is the one that the API documents here.
        """
        return self._paged(_LIST, path={"end_user_id": end_user_id}, query={"type": type})

    async def get(self, *, end_user_id: Id, document_id: Id) -> EndUserDocument:
        """Get one document of an end user, with a new URL to download it."""
        return await self._call(_GET, path={"end_user_id": end_user_id, "document_id": document_id})

    async def download(self, holder: Holder, *, renew: Callable[[], Awaitable[Holder]] | None = None) -> bytes:
        """Download a document into memory: at most 64 MiB.

        A link is good for 15 minutes. That of a paystub or of an end user's document is renewed when it has run out, by
        getting the object again; for others *renew* says how. A tax form is not got again unasked, because that is
        billed.

        Args:
            holder: A document, or an object that has one.
            renew: Gets the object again, such as `lambda: pinwheel.tax_forms.get(...)`.

        Raises:
            RequestError: The object has no link.
            TransportError: No file came back.
            ApiError: The file's host, or the API, answered, and not with success.
        """
        found = await self._download(holder, renew, None)
        return found if isinstance(found, bytes) else b""

    async def save(
        self,
        holder: Holder,
        path: str | os.PathLike[str],
        *,
        renew: Callable[[], Awaitable[Holder]] | None = None,
    ) -> int:
        """Download a document to a file, and return the number of its bytes.

        The file takes its place, and that of an earlier one, only when it is whole, and only its owner can read it. The
        other arguments and errors are those of `download`.

        Raises:
            OSError: The file cannot be written.
        """
        found = await self._download(holder, renew, Path(path))
        return found if isinstance(found, int) else 0

    async def _download(
        self, holder: Holder, renew: Callable[[], Awaitable[Holder]] | None, path: Path | None
    ) -> bytes | int:
        link, renew = link_of(holder), renew or self._renewal(holder)
        if link is not None:
            try:
                return await self._caller.download(link, path)
            except ApiError as error:
                if error.status not in _RUN_OUT or renew is None:
                    raise
        if renew is not None:
            link = link_of(await renew())
        if link is None:
            raise RequestError(["holder must have a document with a link: get it again, or pass renew"])
        return await self._caller.download(link, path)

    def _renewal(self, holder: Holder) -> Callable[[], Awaitable[Holder]] | None:
        if isinstance(holder, EndUserDocument):
            return partial(self.get, end_user_id=holder.end_user_id, document_id=holder.id)
        return renewal_of(holder, self._caller)
