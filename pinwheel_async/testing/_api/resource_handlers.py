"""Handlers of what clients create: Link tokens, webhooks, API keys, sites."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec

from pinwheel_async.testing._api.handlers import Answer, handles, item, listing
from pinwheel_async.testing._api.request import Call, Nothing
from pinwheel_async.testing._api.validation import read_body
from pinwheel_async.testing._world.records import Record, stamp
from pinwheel_async.testing._world.world import World

_LIFETIME = timedelta(minutes=60)


@handles("create_link_token", "create_company_connect_link_token")
def _create_link_token(world: World, call: Call) -> Answer:
    body = read_body(call)
    if body.get("account_id") is not None:
        world.index(body["account_id"])
    token = _link_token(world)
    world.resources.add_link_token(token, body)
    return item(token | {"smart_branch_url": None} if call.row.operation == "create_link_token" else token)


@handles("legacy_create_link_token")
def _create_legacy_link_token(world: World, _: Call) -> Answer:
    token = _link_token(world)
    return item({"mode": token["mode"], "token": token["token"], "expires": _unix(world), "token_id": token["id"]})


@handles("legacy_create_site")
def _create_site(world: World, _: Call) -> Answer:
    token_id = str(uuid4())
    url = f"https://link.example.com/sites/{token_id}"
    return item({"url": url, "expires": _unix(world), "token_id": token_id})


@handles("list_webhooks")
def _list_webhooks(world: World, _: Call) -> Answer:
    return listing(world.resources.webhooks.values())


@handles("create_webhook")
def _create_webhook(world: World, call: Call) -> Answer:
    return item(world.resources.create_webhook(read_body(call)))


@handles("get_webhook")
def _get_webhook(world: World, call: Call) -> Answer:
    return item(world.resources.webhook(call.path["webhook_id"]))


@handles("update_webhook")
def _update_webhook(world: World, call: Call) -> Answer:
    world.resources.webhook(call.path["webhook_id"])
    return item(world.resources.update_webhook(call.path["webhook_id"], read_body(call)))


@handles("delete_webhook")
def _delete_webhook(world: World, call: Call) -> Answer:
    world.resources.delete_webhook(call.path["webhook_id"])
    return Nothing(b"{}")


@handles("create_admin_token")
def _create_admin_token(world: World, call: Call) -> Answer:
    read_body(call)
    return item(world.resources.create_admin_token())


@handles("list_api_keys")
def _list_api_keys(world: World, _: Call) -> Answer:
    return listing(world.resources.keys.values())


@handles("create_api_key")
def _create_api_key(world: World, call: Call) -> Answer:
    return item(world.resources.create_key(read_body(call).get("expires_at")))


@handles("revoke_api_key")
def _revoke_api_key(world: World, call: Call) -> Answer:
    return item(world.resources.revoke_key(call.path["api_key"]))


def _link_token(world: World) -> Record:
    token_id, now = str(uuid4()), world.now()
    claims = {"link_token_id": token_id, "iat": now.timestamp(), "note": "fictional " * 90}
    return {
        "mode": "sandbox",
        "id": token_id,
        "token": ".".join([_part({"alg": "none", "typ": "JWT"}), _part(claims), ""]),
        "expires": stamp(now + _LIFETIME),
    }


def _part(claims: Any) -> str:
    return urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=").decode()


def _unix(world: World) -> int:
    return int((world.now() + _LIFETIME).timestamp())
