"""Ports for servers that a test starts in a while: nobody else is given them until then."""

import itertools
import os
import random
import socket

_FIRST = 15_000
_EACH = 4_000  # for one worker
_WORKERS = 4  # so that all are below 32768, from where the system takes ports for connections
_turns = itertools.count(random.SystemRandom().randrange(_EACH))  # apart from another run's


def free_port() -> int:
    """Give a port of this machine that nobody listens on, another one each time.

    A port of the system's choice would be free only as long as nobody connects anywhere: it may
    become the near end of any connection before a server listens there.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = _FIRST + _EACH * (int(worker) % _WORKERS)
    for turn in itertools.islice(_turns, _EACH):
        if _is_free(port := first + turn % _EACH):
            return port
    raise OSError(f"no free port from {first} on")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
