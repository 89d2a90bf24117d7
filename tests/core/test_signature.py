"""Signature verification: what is good, what is refused, and that no input makes the check raise."""

import base64
import json
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from pinwheel_async._core.signature import KeyRing, check_headers, sign
from pinwheel_async.errors import ConfigurationError

SIGNATURE = json.loads((Path(__file__).parents[1] / "data" / "events.json").read_text(encoding="utf-8"))["signature"]
VECTORS = {vector["name"]: vector for vector in SIGNATURE["vectors"]}
PLAIN = VECTORS["plain"]
BODY = base64.b64decode(PLAIN["body_base64"])
GOOD = {"signature": PLAIN["header"], "timestamp": PLAIN["timestamp"], "body": BODY}
SIGNED_AT = float(PLAIN["timestamp"])
DIGEST = PLAIN["header"].removeprefix("v2=")


@pytest.fixture
def ring():
    return KeyRing([PLAIN["secret"]])


@pytest.mark.parametrize("name", VECTORS)
def test_vector_is_good(name):
    """A body that the reference signed is authentic."""
    vector = VECTORS[name]
    body = base64.b64decode(vector["body_base64"])

    verdict = KeyRing([vector["secret"]]).verify(signature=vector["header"], timestamp=vector["timestamp"], body=body)

    assert verdict.ok


@pytest.mark.parametrize("name", VECTORS)
def test_sign_gives_the_header_of_the_vector(name):
    """A body is signed as the reference signs it."""
    vector = VECTORS[name]

    header = sign(vector["secret"], vector["timestamp"], base64.b64decode(vector["body_base64"]))

    assert vector["header"] == header


@pytest.mark.parametrize("name", [name for name in VECTORS if name != "plain"])
def test_body_written_again_is_refused(name):
    """A body that was parsed and written again is not the body that was signed."""
    vector = VECTORS[name]
    body = base64.b64decode(vector["body_base64"])
    again = json.dumps(json.loads(body)).encode()

    verdict = KeyRing([vector["secret"]]).verify(signature=vector["header"], timestamp=vector["timestamp"], body=again)

    assert "wrong" == verdict.reason


REFUSED = {
    "wrong-timestamp": ({"timestamp": str(int(PLAIN["timestamp"]) + 1)}, "wrong"),
    "one-byte-more": ({"body": BODY + b"\n"}, "wrong"),
    "one-byte-less": ({"body": BODY[:-1]}, "wrong"),
    "version-v1": ({"signature": f"v1={DIGEST}"}, "malformed"),
    "no-prefix": ({"signature": DIGEST}, "malformed"),
    "empty-header": ({"signature": ""}, "missing"),
    "no-header": ({"signature": None}, "missing"),
    "non-ascii-header": ({"signature": f"v2=é{DIGEST[1:]}"}, "malformed"),
    "lone-surrogate": ({"signature": f"v2={DIGEST[:-1]}\udce9"}, "malformed"),
    "surrogate-of-no-byte": ({"signature": f"v2={DIGEST[:-1]}\ud800"}, "malformed"),
    "non-ascii-digit": ({"timestamp": "177376000\u0660"}, "malformed"),
    "non-ascii-bytes": ({"signature": b"v2=\xe9" + DIGEST[1:].encode()}, "malformed"),
    "upper-case-digest": ({"signature": f"v2={DIGEST.upper()}"}, "malformed"),
    "two-signatures": ({"signature": f"{PLAIN['header']},{PLAIN['header']}"}, "malformed"),
    "line-feed-at-end": ({"signature": f"{PLAIN['header']}\n"}, "malformed"),
    "blank-at-end": ({"timestamp": f"{PLAIN['timestamp']} "}, "malformed"),
    "huge-header": ({"signature": "v2=" + "0" * 5000}, "malformed"),
    "no-timestamp": ({"timestamp": None}, "missing"),
    "empty-timestamp": ({"timestamp": ""}, "missing"),
    "no-number": ({"timestamp": "yesterday"}, "malformed"),
    "negative": ({"timestamp": "-1"}, "malformed"),
    "huge-timestamp": ({"timestamp": "1" * 5000}, "malformed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(ring, case):
    """What the reference says must be refused is refused, and so are its neighbours."""
    change, reason = REFUSED[case]

    verdict = ring.verify(**GOOD | change)

    assert (reason, None) == (verdict.reason, verdict.key)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_its_headers(case):
    """Headers are refused before there is a body exactly if no body could make them good."""
    change, reason = REFUSED[case]
    given = GOOD | change
    verdict = check_headers(given["signature"], given["timestamp"])

    assert (None if reason == "wrong" else reason) == (verdict and verdict.reason)


def test_every_negative_case_of_the_reference_is_tested():
    """The reference's cases are all among those above, but for the wrong secret, which has a test of its own."""
    assert {case["name"] for case in SIGNATURE["negative"]} <= {*REFUSED, "wrong-secret"}


def test_wrong_secret():
    """A body that another secret signed is refused."""
    verdict = KeyRing(["test_secret_0002"]).verify(**GOOD)

    assert "wrong" == verdict.reason


def test_bytes_are_headers_too(ring):
    """Headers may be given as bytes, for servers that hand them out so."""
    verdict = ring.verify(signature=PLAIN["header"].encode(), timestamp=PLAIN["timestamp"].encode(), body=BODY)

    assert verdict.ok


anything = (
    st.none() | st.text() | st.binary() | st.text(alphabet=st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
)


@given(signature=anything, timestamp=anything, body=st.binary())
@example(signature=f"v2={'0' * 64}", timestamp="1", body=b"")
@example(signature=b"v2=" + b"f" * 64, timestamp=b"9" * 20, body=b"\xff")
def test_never_raises_and_is_never_ok(signature, timestamp, body):
    """Whatever a sender without a secret sends, the verdict is a refusal and no exception."""
    verdict = KeyRing(["test_secret_0001"]).verify(
        signature=signature, timestamp=timestamp, body=body, now=0.0, max_age_s=300.0
    )

    assert not verdict.ok


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    timestamp=st.integers(0, 10**12).map(str),
    body=st.binary(),
)
@example(secret="k" * 64, timestamp="7", body=b"{}")
@example(secret="k" * 65, timestamp="7", body=b"{}")
def test_what_is_signed_is_good(secret, timestamp, body):
    """What a secret signs is good for a ring that has it."""
    verdict = KeyRing([secret]).verify(signature=sign(secret, timestamp, body), timestamp=timestamp, body=body)

    assert verdict.ok


@given(body=st.binary(min_size=1), data=st.data())
def test_one_changed_bit_is_refused(body, data):
    """A body with one bit changed is refused."""
    at, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    changed = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]

    verdict = KeyRing(["secret"]).verify(signature=sign("secret", "1", body), timestamp="1", body=changed)

    assert "wrong" == verdict.reason


@pytest.mark.parametrize("name", ["sandbox", "production", "old"])
def test_name_of_the_secret_that_signed(name):
    """The verdict names the secret that signed."""
    secrets = {"sandbox": "s1", "production": "s2", "old": "s3"}

    verdict = KeyRing(secrets).verify(signature=sign(secrets[name], "7", b"{}"), timestamp="7", body=b"{}")

    assert name == verdict.key


def test_names_of_a_list():
    """The secrets of a list are numbered from one."""
    assert ("secret-1", "secret-2") == KeyRing(["a", "b"]).names


def calls(ring, header):
    """Name the functions that a check calls, built-in ones too."""
    called = []

    def note(frame, kind, function):
        if kind == "c_call":
            called.append(function.__name__)

    sys.setprofile(note)
    try:
        ring.verify(signature=header, timestamp="7", body=b"{}")
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.parametrize("signer", ["a", "b", "c", "none of them"])
def test_equal_work(signer):
    """One digest is made and compared per secret, whichever matches and also when none does."""
    called = calls(KeyRing(["a", "b", "c"]), sign(signer, "7", b"{}"))

    assert (3, 3) == tuple(map(called.count, ("hexdigest", "compare_digest")))


@pytest.mark.parametrize(
    ("seconds", "reason"), [(0, "ok"), (300, "ok"), (-300, "ok"), (300.5, "stale"), (-300.5, "early")]
)
def test_age_limit(ring, seconds, reason):
    """A good signature is refused when its timestamp is too far away, in the past or in the future."""
    verdict = ring.verify(**GOOD, now=SIGNED_AT + seconds, max_age_s=300.0)

    assert reason == verdict.reason


def test_age_limit_names_the_secret():
    """Under an age limit, too, the verdict names the secret that signed, whether it is good or too old."""
    ring = KeyRing({"new": "other", "old": PLAIN["secret"]})

    verdicts = [ring.verify(**GOOD, now=SIGNED_AT + age, max_age_s=10) for age in (0, 11)]

    assert [("ok", "old"), ("stale", "old")] == [(verdict.reason, verdict.key) for verdict in verdicts]


@pytest.mark.parametrize(("seconds", "reason"), [(0.5, "stale"), (0, "stale"), (-0.5, "early")])
def test_limit_of_nothing(ring, seconds, reason):
    """A limit that lets nothing pass calls what was signed this very moment old, and only the future early."""
    assert reason == ring.verify(**GOOD, now=SIGNED_AT + seconds, max_age_s=-1.0).reason


@pytest.mark.parametrize(("digits", "reason"), [(20, "wrong"), (21, "malformed")])
def test_longest_timestamp(ring, digits, reason):
    """A timestamp has as many digits as the largest number of 64 bits, at most."""
    assert reason == ring.verify(**GOOD | {"timestamp": "1" * digits}).reason


def test_no_age_limit_by_default(ring):
    """Without a limit a good signature is good for ever."""
    verdict = ring.verify(**GOOD, now=SIGNED_AT + 1e9)

    assert verdict.ok


def test_age_comes_after_the_signature(ring):
    """A bad signature is called wrong, however old it is: only an authentic timestamp says anything."""
    verdict = ring.verify(**GOOD | {"body": b"{}"}, now=SIGNED_AT + 1e9, max_age_s=300.0)

    assert "wrong" == verdict.reason


@pytest.mark.parametrize(
    ("now", "limit"), [(None, 300.0), (float("nan"), 300.0), (SIGNED_AT, float("nan")), (SIGNED_AT, -1.0)]
)
def test_limit_that_cannot_be_held(ring, now, limit):
    """A limit without a clock, or one that is no number, lets nothing pass."""
    verdict = ring.verify(**GOOD, now=now, max_age_s=limit)

    assert not verdict.ok


@pytest.mark.parametrize(
    "secrets",
    [[], {}, [""], [" "], ["good", ""], ["planted "], ["pläntéd"], ["plan\nted"], "planted", b"planted", [b"planted"],
     [None], {"": "planted"}, {"name": None}, {1: "planted"}, None, 7],
    ids=repr,
)  # fmt: skip
def test_secrets_that_cannot_work(secrets):
    """Secrets that cannot be API secrets are refused at construction, and the message does not show them."""
    with pytest.raises(ConfigurationError) as caught:
        KeyRing(secrets)

    assert "plant" not in str(caught.value)


@pytest.mark.parametrize("secrets", ["planted", b"planted", 7, None])
def test_secrets_that_are_no_list(secrets):
    """What is no list of secrets is told to be one."""
    with pytest.raises(ConfigurationError, match="must be a list of API secrets"):
        KeyRing(secrets)


def test_secrets_are_in_no_frame():
    """The traceback of a refused secret holds it in no frame of ours."""
    with pytest.raises(ConfigurationError) as caught:
        KeyRing({"name": "planted secret\n"})

    shown = [value for entry in caught.traceback[1:] for value in entry.frame.f_locals.values()]
    assert "planted" not in repr(shown)


def test_repr_hides_secrets():
    """A ring shows the names of its secrets and nothing else."""
    assert "<KeyRing live secret>" == repr(KeyRing({"live": "planted-1", "secret": "planted-2"}))
