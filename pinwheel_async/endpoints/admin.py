"""The Admin API: API keys of the workspace, for a dashboard user who logged in.

These calls take the token of that user instead of the client's secret.
"""

from datetime import datetime

from pinwheel_async._core.endpoint import item, page
from pinwheel_async.endpoints import _rules
from pinwheel_async.endpoints._base import Endpoints
from pinwheel_async.endpoints._paged import Paged
from pinwheel_async.models.admin import (
    AdminToken,
    AdminTokenRequest,
    ApiKey,
    ApiKeyCreated,
    ApiKeyRequest,
    ApiKeyRevoked,
)

_CREATE_TOKEN = item("create_admin_token", "POST", "/v1/admin/token", AdminToken, body=AdminTokenRequest, auth="none")
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
        request = AdminTokenRequest(username=username, password=password)
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
        _rules.refuse(_rules.aware("expires_at", expires_at))
        call = self._call(_CREATE_API_KEY, body=ApiKeyRequest(expires_at=expires_at), bearer=_bearer(token))
        del token
        return await call

    async def revoke_api_key(self, token: AdminToken | str, *, api_key: str) -> ApiKeyRevoked:
        """Revoke an API key: whoever uses it is locked out.

        Args:
            token: From `create_token`.
            api_key: The public part, `key` of `ApiKey`. Never the secret: this goes into the URL, and URLs are logged.
        """
        call = self._call(_REVOKE_API_KEY, path={"api_key": api_key}, bearer=_bearer(token))
        del token
        return await call


def _bearer(token: AdminToken | str) -> str:
    return token.token if isinstance(token, AdminToken) else token
