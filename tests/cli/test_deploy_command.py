"""Command `deploy`: its files are whole, and every command in them is one of ours."""

import re
import shlex
from configparser import ConfigParser

import pytest
import yaml

from pinwheel_async.cli._app import app
from pinwheel_async.webhooks import MemoryInbox, Router, webhook_app


@pytest.fixture
def printed(run):
    """Print the files for a system."""

    def printed(system):
        done = run("deploy", system)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return printed


def check(command):
    """Parse a command line as the program does, without running it."""
    assert command[0].endswith("pinwheel-async")
    app.parse_args(command[1:], print_error=False, exit_on_error=False)


def test_compose(printed):
    """The services are those that the page of the manual names, and their commands can be parsed."""
    document = yaml.safe_load(printed("compose"))
    services = document["services"]

    assert {"postgres", "migrate", "receiver", "worker", "sync"} == services.keys()
    check(services["migrate"]["command"])
    for name in ("receiver", "worker", "sync"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    check(services["worker"]["command"])
    check(services["sync"]["command"])
    assert "PINWHEEL_API_SECRET" in services["sync"]["environment"]


def test_kubernetes(printed):
    """The objects are whole, and their commands can be parsed."""
    objects = list(yaml.safe_load_all(printed("kubernetes")))
    kinds = [(found["kind"], found["metadata"]["name"]) for found in objects]

    assert [
        ("Deployment", "pinwheel-receiver"),
        ("Service", "pinwheel-receiver"),
        ("PodDisruptionBudget", "pinwheel-receiver"),
        ("Deployment", "pinwheel-worker"),
        ("CronJob", "pinwheel-sync"),
    ] == kinds
    worker = objects[3]["spec"]["template"]["spec"]
    check(worker["containers"][0]["command"])
    check(objects[4]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"])
    (patience_s,) = re.findall(r"--shutdown-timeout-s (\d+)", " ".join(worker["containers"][0]["command"]))
    assert int(patience_s) < worker["terminationGracePeriodSeconds"]


def test_probes(printed):
    """The paths of the probes are those that the receiver answers."""
    receiver = webhook_app(Router(), secrets=["secret"], inbox=MemoryInbox())
    answered = {f"/webhooks/pinwheel{resource.canonical}" for resource in receiver.router.resources()}
    found = re.findall(r"/webhooks/pinwheel/[a-z/]+", printed("kubernetes") + printed("compose"))

    assert len(found) == 3
    assert set(found) <= answered


def test_systemd(printed):
    """Each unit can be read, and its command be parsed."""
    _, *units = re.split(r"^# --- (\S+)\n", printed("systemd"), flags=re.MULTILINE)
    read = {}
    for name, text in zip(units[::2], units[1::2], strict=True):
        read[name] = ConfigParser(interpolation=None)
        read[name].optionxform = str
        read[name].read_string(text)

    assert [
        "pinwheel-receiver.service",
        "pinwheel-worker@.service",
        "pinwheel-sync.service",
        "pinwheel-sync.timer",
    ] == [*read]
    for name in ("pinwheel-worker@.service", "pinwheel-sync.service"):
        check(shlex.split(read[name]["Service"]["ExecStart"]))


def test_unknown_system(run):
    """A system that there is not is wrong usage, and the ones that there are are named."""
    done = run("deploy", "nomad")

    assert done.returncode == 2
    assert "kubernetes" in done.stderr
