"""What holds a secret stays in its process: it is neither pickled nor copied."""

import copy
import pickle

import pytest

from pinwheel_async import Pinwheel
from pinwheel_async._http.caller import HttpCaller
from pinwheel_async._http.prepare import PreparedRequest, RequestPreparer, Secret
from pinwheel_async.settings import Settings
from pinwheel_async.webhooks import KeyRing
from pinwheel_async.webhooks._inbox.encryption import BodyCipher

SETTINGS = Settings(base_url="https://api.example")

HOLDERS = [
    Pinwheel("planted-secret"),
    Secret("planted-secret"),
    RequestPreparer(Secret("planted-secret"), SETTINGS),
    PreparedRequest(..., ...),
    HttpCaller(Secret("planted-secret"), SETTINGS),
    KeyRing(["planted-secret"]),
    BodyCipher(b"planted-key-of-thirty-two-bytes!"),
]


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy], ids=lambda take: take.__name__)
@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_refuses(holder, take):
    """It refuses with a `TypeError` that says what it is, and what to do instead."""
    with pytest.raises(TypeError, match=r"^\w+ holds secrets, so it is neither pickled nor copied: make another one$"):
        take(holder)


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy], ids=lambda take: take.__name__)
def test_group(take):
    """A group of endpoints, which holds the client's caller, refuses as well."""
    with pytest.raises(TypeError, match="HttpCaller holds secrets"):
        take(Pinwheel("planted-secret").admin)
