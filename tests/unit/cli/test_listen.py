import json
from pathlib import Path

import pytest

from noticebus.cli.app import run
from noticebus.cli.client import Answer
from noticebus.cli.explaining import Fault, Finding
from noticebus.cli.following import Noted
from noticebus.cli.listen import _ahead, as_json, known_secrets, lines_of
from noticebus.cli.output import EXIT_FAILED, EXIT_USAGE
from noticebus.cli.receiver import Received
from noticebus.cli.session import URL

WRONG = Finding(
    ok=False, fault=Fault.BODY, cause="signature WRONG: the body was changed", remedy="Take it raw."
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder where there is no bus, and none answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(URL, "http://127.0.0.1:9")


def received(**changes: object) -> Received:
    parts: dict[str, object] = {
        "event": {"data": {"notice": {"headline": "x\x1b[31m"}}},
        "delivery_id": "dlv_1",
        "type": "org.noticebus.notice.v1",
        "time": 2,
        "verdict": WRONG,
        "status": 401,
        "did": "answered 401",
        "noted": Noted(time=2, subscription_id="sub_1", sequence=7, missing=(6,), remarks=("r",)),
        "saved": Path("kept/1.body"),
    }
    return Received(**{**parts, **changes})  # type: ignore[arg-type]


def test_an_event_is_a_line_and_below_it_what_there_is_to_say() -> None:
    first, *below = lines_of(received())

    assert 'notice  dlv_1 (time 2)  no. 7  "x\N{REPLACEMENT CHARACTER}[31m"' in first
    assert first.endswith("signature WRONG: the body was changed  answered 401")
    assert [one.strip() for one in below] == ["r", "remedy: Take it raw.", "saved as kept/1.body"]


def test_an_event_without_more_to_say_is_one_line() -> None:
    plain = received(
        verdict=Finding(ok=True, cause="signature ok (v1)"), time=1, noted=Noted(time=1), saved=None
    )

    assert len(lines_of(plain)) == 1


def test_what_is_no_event_is_called_that() -> None:
    assert "no event  -" in lines_of(received(type="", delivery_id="", event={}))[0]


def test_an_event_for_a_program_has_every_fact_apart() -> None:
    told = json.loads(json.dumps(as_json(received())))

    assert told["sequence"] == 7
    assert told["missing"] == [6]
    assert (told["signature_ok"], told["fault"], told["remedy"]) == (False, "body", "Take it raw.")
    assert told["saved"] == "kept/1.body"


def test_secrets_are_those_said_or_those_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"

    assert known_secrets(None, None) == ()
    assert known_secrets(None, file) == ()
    file.write_text("whsec_b\n\nwhsec_a\n")
    assert known_secrets(None, file) == ("whsec_b", "whsec_a")
    assert known_secrets(["whsec_c"], file) == ("whsec_c",)


@pytest.mark.parametrize(
    ("date", "known"), [("Tue, 24 Nov 2026 18:00:00 GMT", True), ("yesterday", False), ("", False)]
)
def test_the_buss_clock_is_read_from_its_answer(date: str, *, known: bool) -> None:
    answer = Answer(status=200, headers={"Date": date}, text="")

    assert (_ahead(answer) is not None) is known


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--public-key", "whpk_AAAA"], EXIT_FAILED, "not in the form whpk_<base64>"),
        (["--forward", "here"], EXIT_FAILED, "not the address of an application"),
        (["--hang", "--gone"], EXIT_FAILED, "Two ways to fail were asked for"),
        (["--save", "file/x"], EXIT_FAILED, "Nothing can be saved in"),
        (["--verify", "none.body"], EXIT_FAILED, "cannot be read"),
        (["--format", "csv"], EXIT_USAGE, "csv"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_cause(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert run(["listen", "--port", "0", *words]) == code
    assert said in capsys.readouterr().err


def test_a_saved_request_without_its_time_is_checked_by_the_clock_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.body").write_bytes(b"{}")
    headers = "webhook-id: dlv_1\nwebhook-timestamp: 1\nwebhook-signature: v1,AAAA\n"
    (tmp_path / "a.headers").write_text(headers)

    code = run(["listen", "--verify", "a.body", "--secret", "whsec_AAAA"])

    printed = capsys.readouterr()
    assert code == EXIT_FAILED
    assert "the clock now" in printed.err
    assert printed.out.startswith("signature WRONG: no v1 signature matches")
    assert "remedy: " in printed.out
