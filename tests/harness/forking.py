"""What a process is started with whose children are servers or engines."""

import os
import sys


def environment_of_forker() -> dict[str, str]:
    """Give this process's environment with our code on the path, and without measuring coverage.

    Its children end by `os._exit` or are killed: what they measured would be lost, and costs half
    of their speed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
