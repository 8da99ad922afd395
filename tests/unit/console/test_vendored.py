"""What pages load from other people's packages: as published, on stated terms, and all there."""

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

STATIC = Path(str(files("noticebus.console") / "static"))
ROOT = Path(__file__).parents[3]
PACKAGES = json.loads((STATIC / "MANIFEST.json").read_text("utf-8"))["packages"]
LISTED = {one["path"]: one for package in PACKAGES for one in package["files"]}
FOLDERS = {package["folder"] for package in PACKAGES}
ADDRESS = re.compile(r"url\(\s*['\"]?([^)'\"]*)['\"]?\s*\)")
IMPORT = re.compile(r"@import")
SWAGGER = "swagger-ui"


def test_every_vendored_file_is_as_the_manifest_says() -> None:
    for path, entry in LISTED.items():
        content = (STATIC / path).read_bytes()
        assert hashlib.sha384(content).hexdigest() == entry["sha384"], path
        assert len(content) == entry["bytes"], path


def test_nothing_lies_there_that_neither_the_manifest_nor_we_put_there() -> None:
    found = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    in_folders = {path for path in found if "/" in path}

    assert in_folders == set(LISTED)
    assert {path.partition("/")[0] for path in in_folders} == FOLDERS


def test_every_vendored_file_has_its_terms_in_the_manifest_and_in_the_notices() -> None:
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text("utf-8")
    for path, entry in LISTED.items():
        folder, _, name = path.partition("/")
        assert entry["licence"], path
        assert f"`services/noticebus/console/static/{folder}/`" in notices
        assert f"| `{name}` | {entry['licence']} |" in notices


def test_every_package_carries_its_licence() -> None:
    for package in PACKAGES:
        texts = [one for one in package["files"] if "LICENSE" in one["path"]]
        assert texts, package["name"]


def test_versions_are_those_that_package_json_wants_and_the_lock_names_no_address() -> None:
    wanted = json.loads((ROOT / "tools/frontend/package.json").read_text("utf-8"))["dependencies"]
    lock = (ROOT / "tools/frontend/package-lock.json").read_text("utf-8")

    assert {one["name"]: one["version"] for one in PACKAGES} == wanted
    assert all(re.fullmatch(r"[0-9]+(\.[0-9]+){2}", version) for version in wanted.values())
    assert "resolved" not in lock


@pytest.mark.parametrize(
    "sheet", sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.css"))
)
def test_style_sheet_points_at_files_of_ours_that_are_there(sheet: str) -> None:
    text = (STATIC / sheet).read_text("utf-8")
    assert IMPORT.search(text) is None
    for address in ADDRESS.findall(text):
        if not address or (sheet.startswith(SWAGGER) and address.startswith("data:")):
            continue  # /docs alone allows images in the sheet itself
        assert ":" not in address, address
        assert not address.startswith("//"), address
        assert (STATIC / sheet).parent.joinpath(address.partition("#")[0]).is_file(), address


def test_wheel_carries_every_file_that_pages_load() -> None:
    packed = {one.distribution_path for one in WheelBuilder(str(ROOT)).recurse_included_files()}
    files_there = (path for path in STATIC.rglob("*") if path.is_file())
    wanted = {f"noticebus/console/static/{path.relative_to(STATIC)}" for path in files_there}

    assert wanted <= packed
