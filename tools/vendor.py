"""Copy what pages load from npm's packages into the console: `python tools/vendor.py [--check]`.

First `npm ci --ignore-scripts` in tools/frontend, which installs exactly what its lock file names;
`make vendor` does both. With --check nothing is written, and any difference ends in exit code 1.
Nobody needs Node to install or run noticebus: the copies are committed.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FRONTEND = ROOT / "tools" / "frontend"
MODULES = FRONTEND / "node_modules"
STATIC = ROOT / "services" / "noticebus" / "console" / "static"
NOTICES = ROOT / "THIRD_PARTY_NOTICES.md"
MANIFEST = "MANIFEST.json"
BEGIN, END = "<!-- vendored: written by tools/vendor.py -->", "<!-- end of vendored -->"
ADDRESS = re.compile(r"url\(['\"]?([^)'\"]*)['\"]?\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One npm package: what of it is copied, and on what terms.

    `copies` is target: source inside the package; `licences` a target's first letters: its terms,
    the longest that fits counts. What a style sheet points at comes along where `follows` says so.
    """

    name: str
    folder: str
    title: str
    source: str
    licence: str
    copies: Mapping[str, str]
    licences: Mapping[str, str]
    follows: str = ""
    texts: tuple[str, ...] = ()
    changed: str = "nothing; every file is as published."


USWDS = Package(
    name="@uswds/uswds",
    folder="uswds",
    title="U.S. Web Design System",
    source="https://designsystem.digital.gov",
    licence="CC0-1.0 AND OFL-1.1 AND Apache-2.0 AND MIT",
    copies={
        "css/uswds.min.css": "dist/css/uswds.min.css",
        "js/uswds.min.js": "dist/js/uswds.min.js",
        "js/uswds-init.min.js": "dist/js/uswds-init.min.js",
        "img/sprite.svg": "dist/img/sprite.svg",
        "LICENSE.md": "LICENSE.md",
    },
    licences={
        "": "CC0-1.0",
        "OFL-1.1.txt": "OFL-1.1",
        "css/": "CC0-1.0 AND MIT",
        "js/": "CC0-1.0 AND MIT",
        "fonts/source-sans-pro/": "OFL-1.1",
        "fonts/merriweather/": "OFL-1.1",
        "fonts/roboto-mono/": "Apache-2.0",
        "img/sprite.svg": "Apache-2.0 AND CC0-1.0",
        "img/usa-icons": "Apache-2.0 AND CC0-1.0",
    },
    follows="css/uswds.min.css",
    texts=("OFL-1.1.txt",),
    changed="nothing; of the files that the style sheet points at, all are kept and no others.",
)
HTMX = Package(
    name="htmx.org",
    folder="htmx",
    title="htmx",
    source="https://htmx.org",
    licence="0BSD",
    copies={"htmx.min.js": "dist/htmx.min.js", "LICENSE": "LICENSE"},
    licences={"": "0BSD"},
)
SWAGGER = Package(
    name="swagger-ui-dist",
    folder="swagger-ui",
    title="Swagger UI",
    source="https://swagger.io/tools/swagger-ui/",
    licence="Apache-2.0",
    copies={
        "swagger-ui.css": "swagger-ui.css",
        "swagger-ui-bundle.js": "swagger-ui-bundle.js",
        "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
        "LICENSE": "LICENSE",
        "NOTICE": "NOTICE",
    },
    licences={"": "Apache-2.0", "swagger-ui-bundle.js": "Apache-2.0 AND MIT AND BSD-3-Clause"},
)
PACKAGES = (USWDS, HTMX, SWAGGER)


def version_of(package: Package) -> str:
    """Give the version that package.json wants; an installed one that differs ends the run."""
    wanted: str = _json(FRONTEND / "package.json")["dependencies"][package.name]
    installed = _json(MODULES / package.name / "package.json")["version"]
    if wanted != installed:
        sys.exit(f"{package.name}: {wanted} is wanted, {installed} installed. Run npm ci.")
    return wanted


def gather(package: Package) -> dict[str, bytes]:
    """Read what is copied of a package, by its path in the package's folder of the console."""
    base = MODULES / package.name
    found = {target: (base / source).read_bytes() for target, source in package.copies.items()}
    if package.follows:
        sheet = Path(package.copies[package.follows])
        for address in _addresses(found[package.follows].decode()):
            source = (base / sheet.parent / address).resolve()
            target = (Path(package.follows).parent / address).as_posix()
            found[_plain(target)] = source.read_bytes()
    for text in package.texts:
        found[text] = (FRONTEND / "licences" / text).read_bytes()
    return found


def licence_of(package: Package, target: str) -> str:
    """Name the terms of one file."""
    return package.licences[
        max((one for one in package.licences if target.startswith(one)), key=len)
    ]


def build() -> tuple[dict[str, bytes], str]:
    """Give every file as it must be, by its path under static, and the notices' section."""
    files: dict[str, bytes] = {}
    listed, sections = [], []
    for package in PACKAGES:
        version = version_of(package)
        folder, found = f"{package.folder}-{version}", gather(package)
        rows = [
            {
                "path": f"{folder}/{target}",
                "licence": licence_of(package, target),
                "sha384": hashlib.sha384(content).hexdigest(),
                "bytes": len(content),
            }
            for target, content in sorted(found.items())
        ]
        listed.append(
            {
                "name": package.name,
                "version": version,
                "licence": package.licence,
                "folder": folder,
                "files": rows,
            }
        )
        sections.append(_section(package, version=version, rows=rows))
        files |= {f"{folder}/{target}": content for target, content in found.items()}
    files[MANIFEST] = (json.dumps({"packages": listed}, indent=2) + "\n").encode()
    return files, "\n".join([BEGIN, *sections, END])


def differences(files: Mapping[str, bytes], notices: str) -> Iterator[str]:
    """Name what is not as it must be."""
    for name, content in sorted(files.items()):
        path = STATIC / name
        if not path.is_file():
            yield f"missing: {name}"
        elif path.read_bytes() != content:
            yield f"differs: {name}"
    for stray in sorted(set(_vendored()) - set(files)):
        yield f"nothing puts it there: {stray}"
    if NOTICES.read_text("utf-8") != notices:
        yield f"differs: {NOTICES.name}"


def write(files: Mapping[str, bytes], notices: str) -> None:
    """Write every file, and delete those of former versions."""
    for name, content in files.items():
        path = STATIC / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for stray in set(_vendored()) - set(files):
        (STATIC / stray).unlink()
    for folder in sorted((one for one in STATIC.rglob("*") if one.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    NOTICES.write_text(notices, "utf-8")


def main() -> None:
    """Write what pages load, or compare it."""
    if not MODULES.is_dir():
        sys.exit("Nothing is installed. Run: cd tools/frontend && npm ci --ignore-scripts")
    files, section = build()
    before, _, rest = NOTICES.read_text("utf-8").partition(BEGIN)
    notices = before.rstrip() + "\n\n" + section + (rest.partition(END)[2] or "\n")
    if "--check" not in sys.argv[1:]:
        write(files, notices)
    found = list(differences(files, notices))
    print("\n".join(found) or f"{len(files)} files are as their packages have them")
    sys.exit(1 if found else 0)


def _section(package: Package, *, version: str, rows: Sequence[Mapping[str, object]]) -> str:
    """Write what the notices say of a package: each file with its terms, then where they are."""
    folder = f"services/noticebus/console/static/{package.folder}-{version}"
    size = sum(int(str(row["bytes"])) for row in rows)
    lines = [
        "",
        f"## {package.title} {version}",
        "",
        f"- Files: `{folder}/`, {len(rows)} files, {size:,} bytes, of the npm package",
        f"  `{package.name}`. Hashes and sizes are in `MANIFEST.json` beside the folder.",
        f"- Origin: {package.source}",
        f"- Changed by us: {package.changed}",
        f"- Licence: {package.licence}. The texts and copyright notices are in the folder.",
        "",
        "| file | licence |",
        "| --- | --- |",
        *(f"| `{str(row['path']).partition('/')[2]}` | {row['licence']} |" for row in rows),
    ]
    return "\n".join(lines)


def _vendored() -> list[str]:
    """List what lies in versioned folders, and the manifest: all that this script answers for."""
    folders = [one for package in PACKAGES for one in STATIC.glob(f"{package.folder}-*")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path.relative_to(STATIC).as_posix() for path in paths]


def _addresses(sheet: str) -> list[str]:
    return sorted({found for found in ADDRESS.findall(sheet) if found})


def _plain(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
