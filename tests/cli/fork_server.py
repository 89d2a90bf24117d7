"""Fork server: a process that has imported the commands, and forks one process for each command line.

To start Python and to import takes half a second, nearly all of the time of a command; this way it takes a tenth. A
command has a process, an environment, a folder and an output of its own; only its modules are there already.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pinwheel_async import cli

LIMIT_S = 60


class ForkServer:
    """Client of the server, which ends when the client is closed."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(LIMIT_S)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-W", "error", __file__, str(theirs.fileno())],
                env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
                pass_fds=[theirs.fileno()],
            )

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -W error -m pinwheel_async` with arguments, and return what it printed and its exit code."""
        order = json.dumps({"arguments": arguments, "environment": dict(environment), "folder": str(folder)})
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            socket.send_fds(self._socket, [order.encode()], [output.fileno(), errors.fileno()])
            pid = int(self._socket.recv(64))
            try:
                code = int(self._socket.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._socket.recv(64)  # else it would be taken for the end of the next one
                raise subprocess.TimeoutExpired(arguments, LIMIT_S) from None
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read())
        return subprocess.CompletedProcess(arguments, code, *texts)

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        self._server.wait()


def _serve(orders: socket.socket) -> None:
    """Fork for each order; return in the process that has to run it, or when there will be no more."""
    for module in pkgutil.iter_modules(cli.__path__, "pinwheel_async.cli."):
        importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # what is there already is no garbage of a command
    while True:
        message, files, _, _ = socket.recv_fds(orders, 1_000_000, 2)
        if not message:
            orders.close()
            sys.exit()
        pid = os.fork()
        if pid == 0:
            orders.close()
            _become(json.loads(message), files)
            return
        for file in files:
            os.close(file)
        orders.send(str(pid).encode())
        orders.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(order: dict, files: list[int]) -> None:
    """Turn this process into what it would be if it had been started as ordered."""
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["folder"])
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    added = order["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [order["folder"], *filter(None, added)]  # instead of the folder of this file
    sys.argv = ["pinwheel-async", *order["arguments"]]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("pinwheel_async", run_name="__main__", alter_sys=True)
