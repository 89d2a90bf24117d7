"""Admin API: API keys of the workspace, for a dashboard user who logged in.

These calls take the token of that user instead of the client's secret.
"""

from datetime import datetime

from pinwheel_async._core.arguments import text_of, wrong
from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints import _validation
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.errors import RequestError
from pinwheel_async.models.admin import (
    AdminToken,
    AdminTokenRequest,
    ApiKey,
    ApiKeyCreated,
    ApiKeyRequest,
    ApiKeyRevoked,
)

_CREATE_TOKEN = item(
    "create_admin_token",
    "POST",
    "/v1/admin/token",
    AdminToken,
    body=AdminTokenRequest,
    auth="none",
    repeatable=True,  # a second login is another token that soon expires
)
_LIST_API_KEYS = page("list_api_keys", "/v1/admin/api_keys", ApiKey, auth="bearer")
_CREATE_API_KEY = item("create_api_key", "POST", "/v1/admin/api_keys", ApiKeyCreated, body=ApiKeyRequest, auth="bearer")
_REVOKE_API_KEY = item("revoke_api_key", "POST", "/v1/admin/api_keys/{api_key}/revoke", ApiKeyRevoked, auth="bearer")


class AdminEndpoints(Endpoints):
    """API keys, and the token that is needed to manage them."""

    __slots__ = ()

    async def create_token(self, *, username: str, password: str) -> AdminToken:
        """Log in to the Admin API. The token lives for a short time: see its `expiration`.

        Args:
            username: User name or email of a dashboard user.
            password: Password of that user.
        """
        request = _validation.request(AdminTokenRequest, {"username": username, "password": password})
        del username, password
        return await self._call(_CREATE_TOKEN, body=request)

    def list_api_keys(
        self, token: AdminToken | str, *, limit: int | None = None, cursor: str | None = None
    ) -> Paged[ApiKey]:
        """List the API keys of the workspace, without their secrets.

        Args:
            token: From `create_token`.
            limit: Keys per page, 1 to 100; 25 when None.
            cursor: Opaque, from an earlier page; may expire.
        """
        return self._paged(_LIST_API_KEYS, query={"cursor": cursor, "limit": limit}, bearer=_bearer(token))

    async def create_api_key(self, token: AdminToken | str, *, expires_at: datetime | None = None) -> ApiKeyCreated:
        """Create an API key. This answer is the only one that ever holds its secret.

        Args:
            token: From `create_token`.
            expires_at: When the key stops working by itself; aware. Never when None.
        """
        request = _validation.request(ApiKeyRequest, {"expires_at": expires_at})
        call = self._call(_CREATE_API_KEY, body=request, bearer=_bearer(token))
        del token
        return await call

    async def revoke_api_key(self, token: AdminToken | str, *, api_key: str) -> ApiKeyRevoked:
        """Revoke an API key: programs that use it are locked out.

        Args:
            token: From `create_token`.
            api_key: The public part, `key` of `ApiKey`. Never the secret: this goes into the URL, and URLs are logged.
        """
        call = self._call(_REVOKE_API_KEY, path={"api_key": api_key}, bearer=_bearer(token))
        del token
        return await call


def _bearer(token: object) -> str | RequestError:
    text = token.token if isinstance(token, AdminToken) else text_of(token)
    if text is None:
        return RequestError([wrong("token", "an AdminToken or its text", token)])
    if not (text and text.isascii() and text.isprintable()):
        return RequestError(["token must be printable ASCII: pass on what create_token gave"])
    return text
