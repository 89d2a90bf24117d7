"""Programs of the tutorial: each runs as its page says, against the fake."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from yarl import URL

from pinwheel_async import Pinwheel
from pinwheel_async.testing import FakePinwheel, Fault
from pinwheel_async.webhooks import Readiness, Receiver, SqliteInbox

from .conftest import TUTORIAL

Load = Callable[[str], Any]
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakePinwheel], None]:
    """Let programs that take all from the environment talk to a fake."""

    def point(fake: FakePinwheel) -> None:
        monkeypatch.setenv("PINWHEEL_API_SECRET", fake.api_secret)
        monkeypatch.setenv("PINWHEEL_BASE_URL", fake.base_url)

    return point


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def test_fastapi(program: Load, serve: Any, environment: Any) -> None:
    """The FastAPI application makes Link tokens, returns an income, and gives errors statuses of its own."""
    async with FakePinwheel(accounts=1) as fake:
        environment(fake)
        account_id = fake.world.account_id(0)
        async with serve(program("fastapi_app").app) as url, aiohttp.ClientSession(url) as session:
            async with session.post("/users/user_42/link-token") as response:
                assert response.status == 200
                assert {"id", "token"} == set(await response.json())
            async with session.get(f"/accounts/{account_id}/income") as response:
                assert response.status == 200
                assert account_id == (await response.json())["account_id"]
            async with session.get(f"/accounts/{UNKNOWN}/income") as response:
                assert response.status == 404
            fake.script(Fault(status=403), operation="get_income")
            async with session.get(f"/accounts/{account_id}/income") as response:
                assert response.status == 502
            async with session.get(URL(f"{url}/accounts/%2E%2E/income", encoded=True)) as response:
                assert response.status == 500


async def test_receiver(program: Load, tmp_path: Path) -> None:
    """The receiver's own tests pass."""
    program("receiver")
    tests = {name: test for name, test in vars(program("test_receiver")).items() if name.startswith("test_")}

    assert len(tests) == 2
    for name, test in tests.items():
        (tmp_path / name).mkdir()
        await test(tmp_path / name)


async def test_starlette(program: Load, serve: Any, environment: Any, tmp_path: Path) -> None:
    """The Starlette application stores what comes, handles it, and says that it is healthy."""
    async with FakePinwheel(accounts=1) as fake:
        environment(fake)
        module = program("starlette_app")
        async with serve(module.make_app(SqliteInbox(tmp_path / "inbox.db"))) as url:
            fake.subscribe(f"{url}/webhooks/pinwheel")
            session = await fake.connect()
            await _until(lambda: module.connected == [session.account_id])
            async with aiohttp.ClientSession(url) as client, client.get("/health") as response:
                assert response.status == 200
            async with aiohttp.ClientSession(url) as client, client.post("/webhooks/pinwheel", data=b"{}") as response:
                assert response.status == 401


async def test_django(
    program: Load, serve: Any, environment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Django application stores what comes, and handles it."""
    monkeypatch.setenv("INBOX_FOLDER", str(tmp_path))
    async with FakePinwheel(accounts=1) as fake:
        environment(fake)
        module = program("django_app")
        assert isinstance(module.receiver, Receiver)
        async with serve(module.application) as url:
            fake.subscribe(f"{url}/webhooks/pinwheel")
            session = await fake.connect()
            await _until(lambda: module.connected == [session.account_id])
            async with aiohttp.ClientSession(url) as client, client.post("/webhooks/pinwheel", data=b"{}") as response:
                assert response.status == 401


async def test_nightly(program: Load, environment: Any, postgres: str) -> None:
    """The nightly job copies everything, fails by its exit code where something failed, and its query answers."""
    with FakePinwheel(accounts=8) as fake:
        environment(fake)
        fake.script(Fault(status=403), times=50, operation="get_income", account_id=fake.world.account_id(0))
        run = [sys.executable, str(TUTORIAL / "nightly.py")]
        variables = {"PYTHONPATH": str(Path(__file__).parents[2]), "DATABASE_URL": postgres, "PATH": ""}
        variables |= {"PINWHEEL_API_SECRET": fake.api_secret, "PINWHEEL_BASE_URL": fake.base_url}
        codes = []
        for _ in range(2):
            process = await asyncio.to_thread(
                subprocess.run, run, env=variables, capture_output=True, timeout=150, check=False
            )
            codes.append(process.returncode)
            fake.clear_faults()

    assert codes == [1, 0], process.stderr
    connection = await asyncpg.connect(postgres)
    rows = await connection.fetch(program("nightly").PAY_BY_MONTH)
    stored = await connection.fetchval("SELECT count(*) FROM paystubs")
    await connection.close()
    assert sum(row["paystubs"] for row in rows) == stored > 0


async def test_decide(program: Load, serve: Any) -> None:
    """A person who has just connected is waited for, and decided about by all of their accounts."""
    decide = program("decide").decide
    async with FakePinwheel(accounts=1) as fake, Pinwheel(fake.api_secret, base_url=fake.base_url) as pinwheel:
        readiness = Readiness(pinwheel=pinwheel, look_every_s=0.05)
        session = await fake.connect(end_user_id="user_42")

        assert await decide(pinwheel, readiness, "user_42", at_least_cents=1, timeout_s=0) == "later"

        await fake.advance(session.duration_s)
        assert await decide(pinwheel, readiness, "user_42", at_least_cents=1) == "accepted"
        assert await decide(pinwheel, readiness, "user_42", at_least_cents=10**12) == "declined"

        failed = await fake.connect(end_user_id="user_43", outcome={"income": "error"})
        await fake.advance(failed.duration_s)
        assert await decide(pinwheel, readiness, "user_43", at_least_cents=1) == "by hand"


def test_every_program_is_run() -> None:
    """There is no program without a test in this folder."""
    names = {file.stem for file in TUTORIAL.glob("*.py")}
    text = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))

    assert {name for name in names if f'("{name}"' in text or f'"{name}.py"' in text} == names
