"""Command `python -m pinwheel_async.testing`: a FakePinwheel in a process of its own, until SIGTERM or SIGINT.

Its first and only line of output is JSON: `{"base_url": ..., "api_secret": ...}`.
"""

import argparse
import asyncio
import json
import signal
import sys

from pinwheel_async.testing import FakePinwheel


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m pinwheel_async.testing", description=__doc__)
    parser.add_argument("--accounts", type=int, default=20, help="number of accounts (default: 20)")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes another world (default: 0)")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.accounts, arguments.port, arguments.seed))


async def _serve(accounts: int, port: int, seed: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    async with FakePinwheel(accounts=accounts, port=port, seed=seed, speed=1) as fake:
        sys.stdout.write(json.dumps({"base_url": fake.base_url, "api_secret": fake.api_secret}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":  # pragma: no cover  # a test runs it as a process
    main()
