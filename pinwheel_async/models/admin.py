"""Admin tokens and API keys of a workspace."""

from datetime import date
from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.fields import Timestamp
from pinwheel_async._core.model import Model
from pinwheel_async.models.enums import Mode

UserRole: TypeAlias = Literal["owner", "administrator", "developer"]
"""Dashboard role of a user."""


@frozen(kw_only=True, repr=False)
class AdminTokenRequest(Model):
    """Asks for a token for the Admin API."""

    username: str
    """Dashboard user name or email."""
    password: str
    """Dashboard password."""


@frozen(kw_only=True, repr=False)
class AdminToken(Model):
    """A short-lived bearer token for the Admin API."""

    token: str
    """The bearer token."""
    expiration: Timestamp
    """End of validity."""
    workspace_name: str
    """Name of the workspace."""
    mode: Mode | str
    """Environment of the token."""
    user_role: UserRole | str
    """Dashboard role of the user."""


@frozen(kw_only=True, repr=False)
class ApiKeyRequest(Model):
    """Asks for a new API key; the whole body may be left out."""

    expires_at: Timestamp | None = None
    """When the key stops working by itself."""


@frozen(kw_only=True, repr=False)
class ApiKeyCreated(Model):
    """A new API key: the only answer that carries its secret."""

    mode: Mode | str
    """Environment of the key."""
    key: str
    """Public part of the key."""
    created_at: Timestamp
    """When the key was created."""
    secret: str
    """The API secret; shown only once."""
    expires_at: Timestamp | None = None
    """When the key stops working by itself."""


@frozen(kw_only=True, repr=False)
class ApiKey(Model):
    """One key in the list of the workspace's keys."""

    mode: Mode | str
    """Environment of the key."""
    key: str
    """Public part of the key."""
    created_at: Timestamp
    """When the key was created."""
    is_active: bool
    """Whether the key still works."""
    expires_at: Timestamp | None = None
    """When the key stops working by itself."""
    last_used_at: date | None = None
    """Day of last use; a date, not a time."""
    revoked_at: Timestamp | None = None
    """When the key was revoked."""


@frozen(kw_only=True, repr=False)
class ApiKeyRevoked(Model):
    """The result of revoking a key."""

    mode: Mode | str
    """Environment of the key."""
    key: str
    """Public part of the key."""
    created_at: Timestamp
    """When the key was created."""
    revoked_at: Timestamp
    """When the key was revoked."""
    expires_at: Timestamp | None = None
    """When the key would have stopped working by itself."""
