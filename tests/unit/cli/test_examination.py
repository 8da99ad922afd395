"""What the doctor says of telephones: the provider that knows us or not, the operators' number."""

from pathlib import Path

import pytest

from harness import telephone
from noticebus.cli import examination
from noticebus.cli.examination import Finding, State
from noticebus.settings import Settings


async def found(folder: Path, *, check: str = "telephone", **settings: str) -> Finding:
    """Give what the doctor finds of one check."""
    given = Settings.model_validate(
        {"data_dir": folder, "database_url": f"sqlite+aiosqlite:///{folder}/bus.db", **settings}
    )
    findings = await examination.examine(given, origins={})
    return next(one for one in findings if one.check == check)


async def test_without_a_provider_nothing_is_wrong(tmp_path: Path) -> None:
    assert (await found(tmp_path)).state is State.OK


@pytest.mark.parametrize(("token", "state"), [(None, State.OK), ("wrong", State.FAIL)])
async def test_a_provider_is_asked_whether_it_knows_the_account(
    tmp_path: Path, token: str | None, state: State
) -> None:
    async with telephone.provider() as phones:
        settings = phones.settings() | ({} if token is None else {"telephone_token": token})
        finding = await found(tmp_path, **settings)

    assert finding.state is state
    assert bool(finding.remedy) is (state is State.FAIL)
    assert not phones.handed.all


async def test_a_provider_that_is_away_fails(tmp_path: Path) -> None:
    async with telephone.provider() as phones:
        settings = phones.settings()

    finding = await found(tmp_path, **settings)

    assert finding.state is State.FAIL
    assert "telephone_url" in finding.remedy


@pytest.mark.parametrize(("number", "state"), [("", State.WARN), ("+16015550110", State.OK)])
async def test_a_bus_without_the_operators_number_is_warned(
    tmp_path: Path, number: str, state: State
) -> None:
    finding = await found(tmp_path, check="operators_phone", operators_phone=number)

    assert finding.state is state
    assert ("operators_phone" in finding.remedy) is (state is State.WARN)
