"""What is shipped to run noticebus elsewhere: linted here, where no engine can run it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OURS = {"gateway", "dispatcher", "ledger", "database", "topics"}


@pytest.fixture(scope="module")
def compose() -> dict[str, dict[str, dict[str, object]]]:
    loaded: dict[str, dict[str, dict[str, object]]] = yaml.safe_load(
        (DEPLOY / "compose.yaml").read_text()
    )
    return loaded


def test_the_dockerfile_has_no_known_fault() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run(
        [hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert done.stdout == ""
    assert done.returncode == 0


def test_the_image_runs_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (.+)$", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)

    assert users == ["10001"]


def test_the_image_installs_only_what_is_pinned() -> None:
    installs = re.findall(r"pip install (.*(?:\\\n.*)*)", (DEPLOY / "Dockerfile").read_text())

    assert installs
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_every_server_of_the_composition_says_whether_it_is_well(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    for name in ("postgres", "kafka", "gateway"):
        assert "test" in str(compose["services"][name]["healthcheck"]), name


def test_the_composition_runs_every_role_once_the_database_and_the_topics_are_ready(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    for role in ("gateway", "dispatcher", "ledger"):
        service = compose["services"][role]
        assert service["command"] == ["serve", "--role", role]
        assert service["depends_on"] == {
            "database": {"condition": "service_completed_successfully"},
            "topics": {"condition": "service_completed_successfully"},
        }


def test_the_composition_holds_no_secret_and_only_the_gateway_has_a_port(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    text = (DEPLOY / "compose.yaml").read_text()

    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", text)
    assert {name for name, service in compose["services"].items() if "ports" in service} == {
        "gateway"
    }


def test_our_containers_cannot_write_their_root_or_gain_rights(
    compose: dict[str, dict[str, dict[str, object]]],
) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


PORT_OF = {  # three processes on one machine, each with its health and metrics
    "noticebus-dispatcher": " --port 8081",
    "noticebus-gateway": "",
    "noticebus-ledger": " --port 8082",
}


def test_there_is_a_unit_for_every_role() -> None:
    assert [unit.stem for unit in UNITS] == [
        "noticebus-dispatcher",
        "noticebus-gateway",
        "noticebus-ledger",
    ]
    for unit in UNITS:
        text = unit.read_text()
        role, port = unit.stem.removeprefix("noticebus-"), PORT_OF[unit.stem]
        assert f"serve --role {role}{port}\n" in text
        assert "User=noticebus\n" in text
        assert "Restart=always\n" in text


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze comes with systemd, which this machine does not have",
)
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = re.sub(
            r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE
        )
        (tmp_path / unit.name).write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS)],  # noqa: S607 - wherever it is
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
