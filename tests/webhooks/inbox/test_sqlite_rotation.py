"""Rotation of the key: everything is encrypted with the new one, while receivers go on."""

import asyncio

import pytest

from pinwheel_async.errors import ConfigurationError, InboxError
from pinwheel_async.webhooks import DeliveryFilter, KeyRotation, SqliteInbox
from pinwheel_async.webhooks._inbox import sqlite_admin

from .refusals import BODY

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


async def fill(inbox, deliver, names):
    for name in names:
        await inbox.put(deliver(name))


async def bodies(inbox):
    """Claim everything; return the bodies."""
    return [claim.delivery.body for claim in await inbox.claim(64, lease_s=60)]


async def test_everything_is_encrypted_with_the_new_key(opened, deliver_apart):
    """After a rotation the new key alone opens the inbox, and reads bodies and values."""
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, "123")
        await inbox.save("name", b"value")
    async with opened(key=NEW, old_keys=[OLD]) as inbox:
        rotation = await inbox.rotate_key()
    async with opened(key=NEW) as inbox:
        value, found = await inbox.load("name"), await bodies(inbox)

    assert KeyRotation(encrypted=4, left=0) == rotation
    assert (b"value", [BODY] * 3) == (value, found)


async def test_old_key_opens_nothing_any_more(opened, path, deliver_apart):
    """After a rotation the old key does not open the inbox."""
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, "1")
    async with opened(key=NEW, old_keys=[OLD]) as inbox:
        await inbox.rotate_key()
    with pytest.raises(InboxError, match="another key") as caught:
        await SqliteInbox(path, key=OLD).open()

    assert "WrongKey" == caught.value.reason


async def test_both_keys_before_the_rotation(opened, deliver_apart):
    """With both keys a receiver reads what the old one encrypted, and encrypts with the new one."""
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, "12")
    async with opened(key=NEW, old_keys=[OTHER, OLD]) as inbox:
        await fill(inbox, deliver_apart, "3")

        assert [BODY] * 3 == await bodies(inbox)


async def test_new_key_alone_before_the_rotation(opened, path, deliver_apart):
    """A new key without the old one is refused while something is encrypted with that."""
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, "1")
    with pytest.raises(InboxError, match="or with both"):
        await SqliteInbox(path, key=NEW).open()


async def test_receiver_goes_on_meanwhile(opened, deliver_apart, monkeypatch):
    """A receiver that knows both keys claims and stores while another process rotates."""
    monkeypatch.setattr(sqlite_admin, "PORTION_ROWS", 1)
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, [f"{number}" for number in range(20)])
    async with opened(key=NEW, old_keys=[OLD]) as receiver, opened(key=NEW, old_keys=[OLD]) as tool:
        task = asyncio.create_task(tool.rotate_key())
        found, number = [], 0
        while not task.done() or number < 20:
            await receiver.put(deliver_apart(f"new {number}"))
            for claim in await receiver.claim(2, lease_s=60):
                found.append(claim.delivery.body)
                await receiver.done(claim)
            number += 1
        found += await bodies(receiver)

        assert 0 == (await task).left
        assert [BODY] * (20 + number) == found
        assert (0, 0) == ((await receiver.counts()).dead, (await receiver.counts()).waiting)


async def test_receiver_that_knows_only_the_old_key(opened, deliver_apart):
    """A receiver that knows only the replaced key stores nothing with it any more, and says what to do."""
    async with opened(key=OLD) as old:
        await fill(old, deliver_apart, "1")
        async with opened(key=NEW, old_keys=[OLD]) as new:
            await fill(old, deliver_apart, "2")  # before the rotation it can
            await new.rotate_key()
            with pytest.raises(InboxError, match="key") as caught:
                await old.put(deliver_apart("3"))

            assert "WrongKey" == caught.value.reason
            assert [BODY] * 2 == await bodies(new)


async def test_bodies_in_the_clear_are_encrypted(opened, path, deliver_apart):
    """A rotation encrypts what was stored before there was a key, and leaves no trace of it in the file."""
    async with opened() as inbox:
        await fill(inbox, deliver_apart, "12")
        await inbox.save("name", b"VALUE IN THE CLEAR")
    before = path.read_bytes()
    async with opened(key=NEW) as inbox:
        await inbox.rotate_key()
        value = await inbox.load("name")
    after = path.read_bytes()

    assert b"VALUE IN THE CLEAR" == value
    assert [True, True] == [text in before for text in (BODY[:20], b"IN THE CLEAR")]
    assert [False, False] == [text in after for text in (BODY[:20], b"IN THE CLEAR")]


async def test_what_is_damaged_is_left(opened, deliver_apart):
    """What cannot be decrypted is left and counted, and the old key is still asked for."""
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, "12")
        damage = "UPDATE body SET content = x'00' WHERE seq = 1"
        await inbox._group.submit(lambda store: store.connection.execute(damage).rowcount)
    async with opened(key=NEW, old_keys=[OLD]) as inbox:
        first = await inbox.rotate_key()
        await inbox.purge(DeliveryFilter(event_ids="1"))
        second = await inbox.rotate_key()
    async with opened(key=NEW):
        pass

    assert KeyRotation(encrypted=1, left=1) == first
    assert KeyRotation(encrypted=0, left=0) == second


async def test_stored_with_the_old_key_meanwhile(opened, deliver_apart, monkeypatch):
    """What another process stores with the old key when all seems done keeps that key, and is counted."""
    async with opened(key=OLD) as old:
        await fill(old, deliver_apart, "1")
        async with opened(key=NEW, old_keys=[OLD]) as new:
            loop, read = asyncio.get_running_loop(), sqlite_admin.read

            def read_and_put(path, function):
                found = read(path, function)
                if getattr(getattr(function, "func", None), "__name__", "") == "_left":
                    asyncio.run_coroutine_threadsafe(old.put(deliver_apart("2")), loop).result()
                return found

            monkeypatch.setattr(sqlite_admin, "read", read_and_put)
            first = await new.rotate_key()
            monkeypatch.undo()
            second = await new.rotate_key()

            assert (1, 0) == (first.left, second.left)
            assert [BODY] * 2 == await bodies(new)


async def test_rotation_without_a_key(opened):
    """Without a key there is nothing to encrypt with."""
    async with opened() as inbox:
        with pytest.raises(ConfigurationError, match="no key"):
            await inbox.rotate_key()


async def test_rotation_goes_in_portions(opened, deliver_apart, monkeypatch):
    """A rotation that is interrupted is gone on with, and both keys are asked for until it is over."""
    monkeypatch.setattr(sqlite_admin, "PORTION_ROWS", 1)
    monkeypatch.setattr(sqlite_admin, "FOUND_ROWS", 2)
    async with opened(key=OLD) as inbox:
        await fill(inbox, deliver_apart, [f"{number}" for number in range(9)])
    async with opened(key=NEW, old_keys=[OLD]) as inbox:
        task = asyncio.create_task(inbox.rotate_key())
        async with asyncio.timeout(60):
            while await inbox._group.submit(
                lambda store: not store.connection.execute("SELECT 1 FROM body WHERE key_number = 2").fetchone()
            ):
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    async with opened(key=NEW, old_keys=[OLD]) as inbox:
        again = await inbox.rotate_key()

        assert 0 < again.encrypted < 9
        assert [BODY] * 9 == await bodies(inbox)
