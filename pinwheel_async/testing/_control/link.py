"""Stand-in for Link: what its page asks the fake, from opening with a Link token to the outcome of the login."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from attrs import field, frozen

from pinwheel_async._privacy import Discreet
from pinwheel_async.testing._webhooks.scenarios import SCENARIOS, PlayedScenario, scenario_named
from pinwheel_async.testing._world.directory import EMPLOYER_COUNT, employer_name
from pinwheel_async.testing._world.records import Record
from pinwheel_async.testing._world.world import World

_SHOWN_EMPLOYERS = 8


class Linked(Protocol):
    """What the stand-in needs of `FakePinwheel`."""

    world: World

    async def play(
        self,
        scenario: str,
        *,
        account_id: str | None,
        end_user_id: str | None,
        link_token_id: str | None,
        employer_id: str | None,
    ) -> PlayedScenario: ...


@frozen(kw_only=True)
class Open(Discreet):
    """Body of `link/open`."""

    token: str = field(repr=False)


@frozen(kw_only=True)
class Search(Discreet):
    """Body of `link/search`."""

    words: str = field(repr=False)


@frozen(kw_only=True)
class Login(Discreet):
    """Body of `link/login`."""

    token: str = field(repr=False)
    scenario: str
    employer_id: str | None = None


class LinkStandIn:
    """Opens sessions of Link tokens, each of which is good once and for an hour, and lets people log in."""

    def __init__(self, fake: Linked) -> None:
        self._fake = fake
        self.endpoints: Mapping[tuple[str, str], tuple[type[Any], Callable[[Any], Awaitable[Any]]]] = {
            ("POST", "link/open"): (Open, self._open),
            ("POST", "link/search"): (Search, self._search),
            ("POST", "link/login"): (Login, self._login),
        }

    async def _open(self, body: Open) -> Any:
        """Open a session; the answer has an error of Link where the token is not good."""
        found = self._token(body.token)
        if found is None or found[1]["expires"] <= self._fake.world.now():
            return {"error": _invalid("invalidLinkTokenSignature", "The Link token is unknown, or has expired.")}
        if found[1]["used"]:
            return {"error": _invalid("usedLinkToken", "The Link token was used before.")}
        found[1]["used"] = True
        known = found[1]["account_id"] is not None or found[1]["employer_id"] is not None
        return {
            "scenarios": {name: scenario.about for name, scenario in SCENARIOS.items()},
            "employer_id": found[1]["employer_id"],
            "skips_search": known,
        }

    async def _search(self, body: Search) -> Any:
        """Find employers by a part of their names."""
        ids, words = self._fake.world.ids, body.words.strip().lower()
        named = [(employer_name(number), number) for number in range(EMPLOYER_COUNT)]
        found = [(name, number) for name, number in named if words in name.lower()][:_SHOWN_EMPLOYERS]
        return [{"id": ids.make("employer", number), "name": name} for name, number in found]

    async def _login(self, body: Login) -> Any:
        """Let the owner of a session's Link token go through a scenario; the answer has what Link tells the page."""
        found = self._token(body.token)
        if found is None or not found[1]["used"]:
            raise ValueError("there is no session with this Link token: open it first")
        scenario_named(body.scenario)
        token_id, token = found
        played = await self._fake.play(
            body.scenario,
            account_id=token["account_id"],
            end_user_id=token["end_user_id"],
            link_token_id=token_id,
            employer_id=body.employer_id or token["employer_id"],
        )
        return {
            "events": [{"name": name, "payload": payload} for name, payload in played.link_events],
            "account_ids": list(played.account_ids),
        }

    def _token(self, token: str) -> tuple[str, Record] | None:
        tokens = self._fake.world.resources.link_tokens.items()
        return next((found for found in tokens if found[1]["token"] == token), None)


def _invalid(code: str, message: str) -> Record:
    return {"type": "invalidLinkToken", "code": code, "message": message, "pendingRetry": False}
