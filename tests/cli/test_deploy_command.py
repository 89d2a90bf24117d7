"""Command `deploy`: its files are whole, and every command in them does what it is for."""

import os
import re
import shlex
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from pinwheel_async.webhooks import MemoryInbox, Router, webhook_app
from tests.servers import free_port

SHOP = {
    "hooks.py": """
from pinwheel_async.events import PaystubsAdded
from pinwheel_async.webhooks import Router

router = Router()

@router.on(PaystubsAdded)
async def handle(event: PaystubsAdded) -> None:
    open("handled", "w").write(event.event_id)
""",
    "web.py": """
import os
from aiohttp import web
from pinwheel_async.webhooks import PostgresInbox, webhook_app
from shop.hooks import router

app = web.Application()
inbox = PostgresInbox(os.environ["PINWHEEL_INBOX"])
hooks = webhook_app(router, secrets=[os.environ["PINWHEEL_API_SECRET"]], inbox=inbox, work=False)
app.add_subapp("/webhooks/pinwheel", hooks)
web.run_app(app, host="127.0.0.1", port=8080)
""",
}
"""The program that is the user's own, as the files describe it."""


@pytest.fixture
def printed(run):
    """Print the files for a system."""

    def printed(system):
        done = run("deploy", system)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return printed


def compose(text):
    """Return the commands of a file for Docker Compose, by what they are for."""
    services = yaml.safe_load(text)["services"]
    return {name: found["command"] for name, found in services.items() if name != "postgres"}


def kubernetes(text):
    """Return the commands of a file for Kubernetes, each of which there is once but for `migrate`."""
    commands = {}
    for found in yaml.safe_load_all(text):
        spec = found["spec"].get("jobTemplate", found)["spec"].get("template", {}).get("spec", {})
        for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
            assert commands.setdefault(container["name"], container["command"]) == container["command"]
    return commands


def units(text):
    """Return the units of a file for systemd, by name."""
    _, *parts = re.split(r"^# --- (\S+)\n", text, flags=re.MULTILINE)
    read = {}
    for name, unit in zip(parts[::2], parts[1::2], strict=True):
        read[name] = ConfigParser(interpolation=None)
        read[name].optionxform = str
        read[name].read_string(unit)
    return read


def systemd(text):
    """Return the commands of a file for systemd, by what they are for."""
    return {
        re.fullmatch(r"pinwheel-([a-z]+)@?\.\w+", name)[1]: shlex.split(unit["Service"]["ExecStart"])
        for name, unit in units(text).items()
        if "Service" in unit
    }


@pytest.mark.parametrize("commands_of", [compose, kubernetes, systemd])
def test_commands(commands_of, printed, fake, postgres, environment, run, tmp_path):
    """Tables are made, a delivery is received and handled, and accounts are copied, by the commands as they stand."""
    commands = commands_of(printed(commands_of.__name__))
    assert {"migrate", "receiver", "worker", "sync"} == commands.keys()
    (tmp_path / "shop").mkdir()
    port = free_port()
    for name, text in SHOP.items():
        (tmp_path / "shop" / name).write_text(text.replace("8080", str(port)))
    environment |= {"PINWHEEL_INBOX": postgres, "PINWHEEL_ENVIRONMENT": "sandbox"}
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(tmp_path)])

    def begin(name, *more):
        program, *arguments = [re.sub(r"^postgresql://.*", postgres, word) for word in commands[name]]
        module = {"python": [], "pinwheel-async": ["-m", "pinwheel_async"]}[Path(program).name]
        return subprocess.Popen([sys.executable, *module, *arguments, *more], cwd=tmp_path, env=environment)

    assert begin("migrate").wait(60) == 0
    running = [begin("receiver"), begin("worker")]
    try:
        url = f"http://127.0.0.1:{port}/webhooks/pinwheel"
        until(lambda: answers(f"{url}/health/ready"), running)
        done = run("send", "paystubs.added", url)
        assert (done.returncode, done.stderr) == (0, "")
        until((tmp_path / "handled").exists, running)
        assert begin("sync", "--base-url", fake.base_url).wait(60) == 0
    finally:
        for process in running:
            process.terminate()
    assert [0, 0] == [process.wait(30) for process in running]
    shown = run("fleet", "show", "--database", postgres)
    assert ": done" in shown.stdout


def answers(url):
    """Whether a receiver is ready."""
    with urlopen(url) as answer:  # noqa: S310  # on loopback
        return answer.status == 200


def until(predicate, running):
    """Wait until something is so, while some processes run."""
    ends_at = time.monotonic() + 60
    while True:
        try:
            if predicate():
                return
        except URLError:
            pass
        assert time.monotonic() < ends_at
        assert [None] * len(running) == [process.poll() for process in running]
        time.sleep(0.05)


def test_compose(printed):
    """Everything waits for `migrate`, which waits for PostgreSQL."""
    services = yaml.safe_load(printed("compose"))["services"]

    assert {"postgres", "migrate", "receiver", "worker", "sync"} == services.keys()
    assert {"postgres": {"condition": "service_healthy"}} == services["migrate"]["depends_on"]
    for name in ("receiver", "worker", "sync"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert "PINWHEEL_API_SECRET" in services["sync"]["environment"]


def test_kubernetes(printed):
    """The objects are whole, each pod brings the tables up to date first, and handlers have time to finish."""
    objects = list(yaml.safe_load_all(printed("kubernetes")))
    kinds = [(found["kind"], found["metadata"]["name"]) for found in objects]

    assert [
        ("Deployment", "pinwheel-receiver"),
        ("Service", "pinwheel-receiver"),
        ("PodDisruptionBudget", "pinwheel-receiver"),
        ("Deployment", "pinwheel-worker"),
        ("CronJob", "pinwheel-sync"),
    ] == kinds
    pods = [found["spec"]["template"]["spec"] for found in (objects[0], objects[3], objects[4]["spec"]["jobTemplate"])]
    assert [["migrate"]] * 3 == [[container["name"] for container in pod["initContainers"]] for pod in pods]
    (patience_s,) = re.findall(r"--shutdown-timeout-s (\d+)", " ".join(pods[1]["containers"][0]["command"]))
    assert int(patience_s) < pods[1]["terminationGracePeriodSeconds"]


def test_probes(printed):
    """The paths of the probes are those that the receiver answers."""
    receiver = webhook_app(Router(), secrets=["secret"], inbox=MemoryInbox())
    answered = {f"/webhooks/pinwheel{resource.canonical}" for resource in receiver.router.resources()}
    found = re.findall(r"/webhooks/pinwheel/[a-z/]+", printed("kubernetes") + printed("compose"))

    assert len(found) == 3
    assert set(found) <= answered


def test_systemd(printed):
    """Each unit can be read, and begins after the tables were brought up to date."""
    read = units(printed("systemd"))

    assert [
        "pinwheel-migrate.service",
        "pinwheel-receiver.service",
        "pinwheel-worker@.service",
        "pinwheel-sync.service",
        "pinwheel-sync.timer",
    ] == [*read]
    for name in ("pinwheel-receiver.service", "pinwheel-worker@.service", "pinwheel-sync.service"):
        for key in ("Wants", "After"):
            assert "pinwheel-migrate.service" in read[name]["Unit"][key].split()


def test_unknown_system(run):
    """A system that there is not is wrong usage, and the ones that there are are named."""
    done = run("deploy", "nomad")

    assert done.returncode == 2
    assert "kubernetes" in done.stderr
