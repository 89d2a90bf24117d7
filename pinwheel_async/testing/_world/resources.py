"""Resources that clients of the fake create: webhooks, API keys, admin tokens and company connections."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import uuid4

from pinwheel_async.settings import LOOPBACK_HOSTS
from pinwheel_async.testing._world.companies import CONNECTION_COUNT, connection
from pinwheel_async.testing._world.ids import Ids
from pinwheel_async.testing._world.records import Record, RefusedError, bad_request, not_found, stamp

WEBHOOK_QUOTA = 10
TOKEN_LIFETIME = timedelta(hours=1)

_HOSTS = "|".join(re.escape(f"[{host}]" if ":" in host else host) for host in sorted(LOOPBACK_HOSTS))
_LOOPBACK = rf"://({_HOSTS})(:[0-9]+)?([/?#].*)?"

LOOPBACK_URL = f"https?{_LOOPBACK}"
"""Pattern of a URL that leads to this machine, and not to a host that only looks like it."""

WEBHOOK_URL = f"https://.+|http{_LOOPBACK}"
"""Pattern of a webhook's URL: https, as the API demands, or this machine, where a receiver in a test has no
certificate."""


class CreatedResources:
    """Resources of the world, each kind in the order in which they were created."""

    def __init__(self, ids: Ids, api_secret: str, now: Callable[[], datetime], end: datetime) -> None:
        self._ids = ids
        self._now = now
        self._made = 0
        self.webhooks: dict[str, Record] = {}
        self.link_tokens: dict[str, Record] = {}
        """What Link tokens that were made are for, by their ids: see `add_link_token`."""
        self.connections: dict[str, Record] = {
            made["id"]: made for made in (connection(ids, number, end) for number in range(CONNECTION_COUNT))
        }
        self.keys: dict[str, Record] = {}
        self._secrets: dict[str, str] = {}
        self._admin_tokens: dict[str, datetime] = {}
        self._add_key(f"fake_key_{ids.make('api_key')}", api_secret, stamp(end), None)

    def create_webhook(self, body: Record) -> Record:
        """Store a webhook.

        Raises:
            RefusedError: There are ten already.
        """
        if len(self.webhooks) >= WEBHOOK_QUOTA:
            raise bad_request("WEBHOOK_LIMIT_REACHED", f"There are {WEBHOOK_QUOTA} webhooks already.")
        now = stamp(self._now())
        self._made += 1
        made: Record = {
            "url": body["url"],
            "status": body["status"],
            "enabled_events": body["enabled_events"],
            "version": body.get("version") or "2022-09-09",
            "id": self._ids.make("webhook", self._made),
            "created_at": now,
            "last_updated": now,
            "customer_id": body.get("customer_id"),
        }
        self.webhooks[made["id"]] = made
        return made

    def webhook(self, webhook_id: str) -> Record:
        """Return a webhook.

        Raises:
            RefusedError: There is none with this id.
        """
        if webhook_id not in self.webhooks:
            raise not_found("webhook")
        return self.webhooks[webhook_id]

    def update_webhook(self, webhook_id: str, body: Record) -> Record:
        """Change what the body names, and nothing else."""
        names = ("url", "status", "enabled_events", "customer_id")
        changed = {name: body[name] for name in names if body.get(name) is not None}
        self.webhooks[webhook_id] = self.webhook(webhook_id) | changed | {"last_updated": stamp(self._now())}
        return self.webhooks[webhook_id]

    def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook."""
        self.webhook(webhook_id)
        del self.webhooks[webhook_id]

    def add_link_token(self, token: Record, body: Record) -> None:
        """Remember whom a Link token is for, and how long it is good."""
        names = ("end_user_id", "account_id", "employer_id", "platform_id")
        expires = datetime.fromisoformat(token["expires"])
        facts = {"token": token["token"], "expires": expires, "used": False}
        self.link_tokens[token["id"]] = {name: body.get(name) for name in names} | facts

    def create_connection(self, company_name: str) -> Record:
        """Store a company connection, not connected yet."""
        now = stamp(self._now())
        made = {"id": str(uuid4()), "created_at": now, "company_name": company_name}
        self.connections[made["id"]] = made | {"status": "ready_to_connect", "status_updated_at": now}
        return self.connections[made["id"]]

    def create_admin_token(self) -> Record:
        """Make an admin token; any name and password will do."""
        token, expires = str(uuid4()), self._now() + TOKEN_LIFETIME
        self._admin_tokens[token] = expires
        return {
            "token": token,
            "expiration": stamp(expires),
            "workspace_name": "Fictional Workspace",
            "mode": "sandbox",
            "user_role": "owner",
        }

    def create_key(self, expires_at: str | None) -> Record:
        """Make an API key whose secret is accepted from now on."""
        key, secret = f"fake_key_{uuid4()}", f"fake_secret_{uuid4()}"
        made = self._add_key(key, secret, stamp(self._now()), expires_at)
        shown = ("mode", "key", "expires_at", "created_at")
        return {name: made[name] for name in shown} | {"secret": secret}

    def revoke_key(self, key: str) -> Record:
        """Stop accepting the secret of an API key."""
        if key not in self.keys:
            raise not_found("API key")
        self._secrets = {secret: owner for secret, owner in self._secrets.items() if owner != key}
        revoked_at = self.keys[key]["revoked_at"] or stamp(self._now())
        self.keys[key] |= {"is_active": False, "revoked_at": revoked_at}
        shown = ("mode", "key", "expires_at", "created_at", "revoked_at")
        return {name: self.keys[key][name] for name in shown}

    def check_secret(self, secret: str | None) -> None:
        """Refuse a request without the secret of an API key that works.

        Raises:
            RefusedError: 401.
        """
        key = self._secrets.get(secret or "")
        expires_at = self.keys[key]["expires_at"] if key else None
        if key is None or (expires_at and datetime.fromisoformat(expires_at) <= self._now()):
            raise RefusedError(401, "UNAUTHORIZED_REQUEST", "INVALID_API_SECRET", "The API secret is missing or wrong.")

    def check_bearer(self, authorization: str | None) -> None:
        """Refuse a request without an admin token that works.

        Raises:
            RefusedError: 401.
        """
        scheme, _, token = (authorization or "").partition(" ")
        expires = self._admin_tokens.get(token)
        if scheme.lower() != "bearer" or expires is None or expires <= self._now():
            raise RefusedError(401, "UNAUTHORIZED_REQUEST", "INVALID_TOKEN", "The admin token is missing or wrong.")

    def _add_key(self, key: str, secret: str, created_at: str, expires_at: str | None) -> Record:
        self._secrets[secret] = key
        self.keys[key] = {
            "mode": "sandbox",
            "key": key,
            "expires_at": expires_at,
            "created_at": created_at,
            "last_used_at": None,
            "is_active": True,
            "revoked_at": None,
        }
        return self.keys[key]
