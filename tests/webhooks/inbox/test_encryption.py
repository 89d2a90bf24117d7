"""Encrypted bodies: only the holder of the key can read them."""

import sys

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import DeliveryFilter, SqliteInbox
from pinwheel_async.webhooks._inbox.encryption import BodyCipher

from .refusals import BODY

KEY, OTHER = b"k" * 32, b"o" * 32


async def test_round_trip(opened, path, deliver_apart):
    """Bodies come back as they were put, after closing too, and no file holds them in the clear."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.put(deliver_apart("2", body=b""))
        first = await inbox.claim(1, lease_s=60)
        files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    async with opened(key=KEY) as inbox:
        second = await inbox.claim(2, lease_s=60)
        files += path.read_bytes()

    assert [BODY, BODY, b""] == [claim.delivery.body for claim in (*first, *second)]
    assert b"PAYROLL" not in files


async def test_same_body_looks_different(opened, deliver_apart):
    """Equal bodies cannot be told to be equal."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.put(deliver_apart("2"))
        rows = await inbox._group.submit(
            lambda store: store.connection.execute("SELECT DISTINCT content FROM body").fetchall()
        )

    assert 2 == len(rows)


@pytest.mark.parametrize(("key", "reason"), [(OTHER, "WrongKey"), (None, "NoKey")])
async def test_wrong_key(opened, path, deliver_apart, key, reason):
    """Another key, or none, is refused when the inbox is opened, and says what to do."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
    with pytest.raises(InboxError, match="open it with") as caught:
        await SqliteInbox(path, key=key).open()
    async with opened(key=KEY) as inbox:
        (claim,) = await inbox.claim(1, lease_s=60)

    assert reason == caught.value.reason
    assert BODY == claim.delivery.body


async def test_key_comes_later(opened, path, deliver_apart):
    """An inbox that was begun without a key can go on with one: what waited can be read, what comes is encrypted."""
    async with opened() as inbox:
        await inbox.put(deliver_apart("1"))
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("2", body=b"NEW" + BODY))
        claims = await inbox.claim(2, lease_s=60)
    stored = path.read_bytes()

    assert [BODY, b"NEW" + BODY] == [claim.delivery.body for claim in claims]
    assert b"NEW" not in stored


async def test_key_comes_while_another_process_has_none(opened, deliver_apart):
    """A process that was opened before there was a key leaves encrypted bodies to those who can read them."""
    async with opened() as old, opened(key=KEY) as new:
        await new.put(deliver_apart("1"))
        with pytest.raises(InboxError, match="open it with its key"):
            await old.claim(1, lease_s=60)
        (claim,) = await new.claim(1, lease_s=60)

    assert BODY == claim.delivery.body


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE body SET content = substr(content, 1, 20)",
        "UPDATE body SET content = x''",
        "UPDATE body SET content = (SELECT content FROM body WHERE seq = 2) WHERE seq = 1",
    ],
)
async def test_tampered_body(opened, deliver_apart, damage):
    """A body that was cut, or put in another's place, makes its delivery dead and nothing else."""
    async with opened(key=KEY) as inbox:
        await inbox.put(deliver_apart("1"))
        await inbox.put(deliver_apart("2"))
        await inbox._group.submit(lambda store: store.connection.execute(damage).rowcount)
        await inbox.claim(1, lease_s=60)
        (dead,) = await inbox.entries(DeliveryFilter(states="dead"))

    assert ("1", "the stored body is damaged") == (dead.event_id, dead.reason)


@pytest.mark.parametrize("key", [b"", b"k" * 16, b"k" * 33])
def test_key_of_wrong_length(path, key):
    """A key that has not 32 bytes is refused, without showing it."""
    with pytest.raises(ConfigurationError, match="32 random bytes") as caught:
        SqliteInbox(path, key=key)

    assert "kkk" not in str(caught.value)


def test_missing_extra(path, monkeypatch):
    """Without cryptography, a key is refused with what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pinwheel-async\[crypto\]'"):
        SqliteInbox(path, key=KEY)


def test_nonces():
    """No two texts are encrypted with the same nonce: those of the same length would show where they differ."""
    cipher = BodyCipher(KEY)
    encrypted = [cipher.encrypt(b"equal texts", "context") for _ in range(1_000)]

    assert 1_000 == len({text[:12] for text in encrypted}) == len({text[12:-16] for text in encrypted})


def test_bodies_are_bound_to_their_event():
    """What was encrypted for one event opens for no other."""
    cipher = BodyCipher(KEY)
    encrypted = cipher.encrypt(BODY, "1")

    assert (BODY, None, None) == (
        cipher.decrypt(encrypted, "1"),
        cipher.decrypt(encrypted, "2"),
        BodyCipher(OTHER).decrypt(encrypted, "1"),
    )


async def test_saved_values_are_encrypted(opened, path):
    """A saved value comes back as it was, and no file holds it in the clear; equal ones look different."""
    async with opened(key=KEY) as inbox:
        for name in "ab":
            await inbox.save(name, b"PLANTED VALUE")
        stored = await inbox._group.submit(
            lambda store: store.connection.execute("SELECT DISTINCT value FROM saved").fetchall()
        )
        value = await inbox.load("a")
        files = b"".join(file.read_bytes() for file in path.parent.iterdir())

    assert (b"PLANTED VALUE", 2) == (value, len(stored))
    assert b"PLANTED" not in files + path.read_bytes()


async def test_saved_value_in_another_place(opened):
    """A saved value that was put in another's place is none."""
    async with opened(key=KEY) as inbox:
        for name in "ab":
            await inbox.save(name, name.encode())
        swap = "UPDATE saved SET value = (SELECT value FROM saved WHERE name = 'b') WHERE name = 'a'"
        await inbox._group.submit(lambda store: store.connection.execute(swap).rowcount)

        assert (None, b"b") == (await inbox.load("a"), await inbox.load("b"))


async def test_value_saved_before_there_was_a_key(opened):
    """What was saved in the clear can be read with a key, too."""
    async with opened() as inbox:
        await inbox.save("a", b"value")
    async with opened(key=KEY) as inbox:
        assert b"value" == await inbox.load("a")
