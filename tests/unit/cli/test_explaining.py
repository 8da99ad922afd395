"""Each way in which a signature goes wrong, made to happen, is named."""

import base64
import codecs
import hmac
import json
from typing import Any

import pytest

from noticebus.access.keyring import Keyring
from noticebus.cli.explaining import Fault, Finding, Known, explain
from noticebus.cli.verifying import TOLERANCE_S, jwks_keys, key_id, secret_bytes
from noticebus.contracts.canonical import canonical
from noticebus.dispatcher.signing import signature_headers

NOW_S = 1_700_000_000
EVENT = {"id": "dlv_1", "type": "org.noticebus.notice.v1", "data": {"a": "ñ", "b": [1, 2]}}
BODY = canonical(EVENT)
KEYRING = Keyring(b"k" * 32)
# Always the same, since they name tests.
SECRET = "whsec_" + base64.b64encode(bytes(range(191, 223))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PUBLIC = jwks_keys(KEYRING.public_jwks())
STRANGE = jwks_keys(Keyring(b"x" * 32).public_jwks())
URL_SAFE = b"\xff\xfe" * 16  # bytes whose base64 has + and /


def headers_of(body: bytes = BODY, *, secrets: tuple[str, ...] = (SECRET,)) -> dict[str, str]:
    """Sign a body as the bus does."""
    return signature_headers(
        body, delivery_id="dlv_1", timestamp=NOW_S, secrets=secrets, keys=KEYRING.signing_keys
    )


def signed_by_hand(content: bytes, *, key: bytes | None = None) -> dict[str, str]:
    """Sign any content with any key, as code of one's own may."""
    key = key if key is not None else secret_bytes(SECRET)
    assert key is not None
    raw = hmac.digest(key, content, "sha256")
    return headers_of() | {"webhook-signature": f"v1,{base64.b64encode(raw).decode()}"}


def check(body: bytes = BODY, *, headers: dict[str, str] | None = None, **known: Any) -> Finding:
    """Explain BODY as the bus signs it, with one thing changed."""
    at: dict[str, Any] = {"secrets": [SECRET], "public_keys": PUBLIC, "now_s": NOW_S} | known
    return explain({**headers_of(), **(headers or {})}, body, known=Known(**at))


def test_what_the_bus_signs_is_found_right_by_both_schemes() -> None:
    assert check() == Finding(ok=True, cause="signature ok (v1, v1a)")


def test_without_secret_and_key_nothing_is_believed_and_nothing_refused() -> None:
    assert check(secrets=[], public_keys=[]).ok is None


@pytest.mark.parametrize(
    ("known", "fault", "cause"),
    [
        ({"secrets": [OTHER]}, Fault.SECRET, "v1 does not match, v1a does: the body is whole"),
        ({"secrets": [OTHER], "public_keys": []}, Fault.SECRET, "your secret is the wrong one"),
        ({"secrets": ["hunter2"]}, Fault.SECRET_FORM, "not in the form whsec_"),
        ({"secrets": ["whsec_***"]}, Fault.SECRET_FORM, "however it is read"),
        ({"public_keys": STRANGE}, Fault.PUBLIC_KEY, f"kid known: {key_id(STRANGE[0])}"),
        (
            {"public_keys": STRANGE, "secrets": []},
            Fault.PUBLIC_KEY,
            "your public key is the wrong one",
        ),
    ],
)
def test_a_wrong_key_is_told_apart_from_a_changed_body(
    known: dict[str, Any], fault: Fault, cause: str
) -> None:
    finding = check(**known)

    assert (finding.ok, finding.fault) == (False, fault)
    assert cause in finding.cause
    assert finding.remedy


@pytest.mark.parametrize(
    ("away_s", "ahead_s", "cause"),
    [
        (420, None, "7 min behind your clock (420 s)"),
        (420, None, "set one of the clocks, or this is an old event played again"),
        (-420, None, "7 min ahead of your clock (420 s)"),
        (-420, None, "nobody signs in the future"),
        (420, 0.5, "an old event played again"),
        (420, -419.0, "your clock is 419 s ahead of the bus's"),
        (-420, 421.0, "your clock is 421 s behind the bus's"),
    ],
)
def test_a_clock_that_is_off_is_named_by_how_much_and_whose_it_is(
    away_s: int, ahead_s: float | None, cause: str
) -> None:
    finding = check(now_s=NOW_S + away_s, bus_ahead_s=ahead_s)

    assert (finding.ok, finding.fault) == (False, Fault.CLOCK)
    assert "the signature itself fits" in finding.cause
    assert cause in finding.cause


def test_five_minutes_are_within_the_tolerance() -> None:
    assert check(now_s=NOW_S + TOLERANCE_S).ok is True


def test_a_wrong_secret_and_a_wrong_clock_are_both_named() -> None:
    finding = check(secrets=[OTHER], now_s=NOW_S + 600)

    assert finding.fault is Fault.SECRET
    assert "10 min behind your clock" in finding.cause


def _bare(secret: str) -> str:
    return secret.removeprefix("whsec_")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (_bare(SECRET), "it lacks its beginning whsec_"),
        (f' "{SECRET}"\n', "blanks or quotes"),
        (SECRET.rstrip("="), "the = at its end are missing"),
        (secret_bytes(SECRET).hex(), "hexadecimal"),  # type: ignore[union-attr]
    ],
)
def test_a_secret_that_was_copied_badly_is_recognised_by_what_fits(given: str, said: str) -> None:
    finding = check(secrets=[given], public_keys=[])

    assert finding.fault is Fault.SECRET_FORM
    assert said in finding.cause
    assert "it fits" in finding.cause


def test_a_secret_in_base64url_is_recognised() -> None:
    standard = "whsec_" + base64.b64encode(URL_SAFE).decode()
    changed = "whsec_" + base64.urlsafe_b64encode(URL_SAFE).decode()

    finding = check(headers=headers_of(secrets=(standard,)), secrets=[changed], public_keys=[])

    assert "base64url" in finding.cause
    assert finding.fault is Fault.SECRET_FORM


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (SECRET.encode(), "undecoded"),
        (_bare(SECRET).encode(), "the key is its text, not what its base64 stands for"),
    ],
)
def test_a_signer_that_takes_the_text_for_the_key_is_recognised(key: bytes, said: str) -> None:
    headers = signed_by_hand(b"dlv_1.%d." % NOW_S + BODY, key=key)

    finding = check(headers=headers, public_keys=[])

    assert finding.fault is Fault.SECRET
    assert said in finding.cause


def test_a_secret_read_otherwise_is_recognised_beside_a_right_v1a() -> None:
    by_hand = signed_by_hand(b"dlv_1.%d." % NOW_S + BODY, key=SECRET.encode())
    right = headers_of(secrets=())["webhook-signature"]
    by_hand["webhook-signature"] += f" {right}"

    assert "undecoded" in check(headers=by_hand).cause


@pytest.mark.parametrize(
    ("secrets", "sent", "said"),
    [
        ([SECRET], (OTHER, SECRET), "yours is the older secret"),
        ([OTHER, SECRET], (SECRET,), "your secret number 2, not the newest"),
        ([SECRET], (SECRET, OTHER), ""),
    ],
)
def test_a_rotation_is_seen_from_which_signature_fits(
    secrets: list[str], sent: tuple[str, ...], said: str
) -> None:
    finding = check(headers=headers_of(secrets=sent), secrets=secrets)

    assert finding.ok is True
    assert said in finding.cause
    assert said or finding.cause == "signature ok (v1, v1a)"


PARSED = json.loads(BODY)


@pytest.mark.parametrize(
    ("signed", "arrived", "said"),
    [
        (BODY, json.dumps(PARSED).encode(), "as canonical JSON it fits"),
        (BODY, json.dumps(PARSED, indent=4).encode(), "verify the raw bytes"),
        (json.dumps(PARSED).encode(), BODY, "as ASCII JSON with blanks it fits"),
        (
            json.dumps({"b": 1, "a": "ñ"}, separators=(",", ":"), ensure_ascii=False).encode(),
            b'{"b": 1, "a": "\xc3\xb1"}',
            "as compact JSON it fits",
        ),
        (BODY, BODY + b"\n", "a line end was put after it"),
        (BODY + b"\n", BODY, "the line end after it was taken off"),
        (BODY, codecs.BOM_UTF8 + BODY, "a byte order mark"),
        (BODY, b" " + BODY + b" ", "blanks were put around it"),
        (b'{\n"a":1}', b'{\r\n"a":1}', "its line ends were changed"),
        (BODY, BODY.decode("latin-1").encode(), "read as Latin-1"),
        (BODY, base64.b64encode(BODY), "a gateway passed it on in base64"),
        (BODY, json.dumps(BODY.decode()).encode(), "put into a JSON string"),
    ],
)
def test_a_body_that_was_touched_on_the_way_is_recognised(
    signed: bytes, arrived: bytes, said: str
) -> None:
    finding = check(arrived, headers=headers_of(signed), public_keys=[])

    assert finding.fault is Fault.BODY, finding
    assert said in finding.cause


def test_a_touched_body_is_recognised_with_the_public_key_alone() -> None:
    assert check(BODY + b"\n", secrets=[]).fault is Fault.BODY


@pytest.mark.parametrize(
    "arrived", [b"\xff\xfe\x00", b"[" * 100_000, b"", b'{"a": NaN}', b'"\\ud800"']
)
def test_a_body_that_nothing_explains_is_called_changed(arrived: bytes) -> None:
    finding = check(arrived)

    assert (finding.ok, finding.fault) == (False, Fault.UNKNOWN)
    assert "was changed on the way" in finding.cause


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("dlv_2", "signed was dlv_1 (the event's own id)"),
        ("DLV_1", "signed was dlv_1"),
        ("x, dlv_1", "signed was dlv_1"),
    ],
)
def test_a_changed_id_is_named_with_the_one_that_was_signed(named: str, said: str) -> None:
    finding = check(headers={"webhook-id": named})

    assert finding.fault is Fault.ID
    assert said in finding.cause


@pytest.mark.parametrize(
    ("signed", "sent", "said"),
    [
        ("upper", "UPPER", "in lower case"),
        ("dlv_7", "x, dlv_7", "the last of several"),
    ],
)
def test_an_id_is_found_without_help_of_the_body(signed: str, sent: str, said: str) -> None:
    headers = signed_by_hand(b"%s.%d.[]" % (signed.encode(), NOW_S)) | {"webhook-id": sent}

    assert said in check(b"[]", headers=headers, public_keys=[]).cause


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BODY, "the body alone"),
        (b"%d." % NOW_S + BODY, "timestamp.body"),
        (b"dlv_1." + BODY, "id.body"),
        (b"%d.dlv_1." % NOW_S + BODY, "timestamp.id.body"),
        (b"dlv_1%d" % NOW_S + BODY, "without dots"),
        (b"dlv_1:%d:" % NOW_S + BODY, "with colons"),
        (b"dlv_1\n%d\n" % NOW_S + BODY, "on lines"),
    ],
)
def test_a_signer_that_joins_the_parts_otherwise_is_recognised(content: bytes, said: str) -> None:
    finding = check(headers=signed_by_hand(content), public_keys=[])

    assert finding.fault is Fault.JOIN
    assert said in finding.cause


def test_a_signature_in_another_spelling_is_recognised() -> None:
    key = secret_bytes(SECRET)
    assert key is not None
    raw = hmac.digest(key, b"dlv_1.%d." % NOW_S + BODY, "sha256")
    standard = base64.b64encode(raw).decode()
    sent = {"hexadecimal": raw.hex(), "base64 without its =": standard.rstrip("=")}

    for said, written in sent.items():
        finding = check(headers={"webhook-signature": f"v1,{written}"}, public_keys=[])
        assert finding.fault is Fault.ENCODING
        assert said in finding.cause


def test_a_signature_in_base64url_is_recognised() -> None:
    bodies = [b"%d" % number for number in range(50)]
    # One of them has a + or a /, which base64url writes otherwise.
    body, standard = next(
        (one, value)
        for one in bodies
        if {"+", "/"} & set(value := headers_of(one)["webhook-signature"].split()[0])
    )
    written = standard.replace("+", "-").replace("/", "_")

    finding = check(body, headers={"webhook-signature": written}, public_keys=[])

    assert finding.fault is Fault.ENCODING
    assert "base64url" in finding.cause


@pytest.mark.parametrize(
    ("changed", "fault", "cause"),
    [
        ({"webhook-id": ""}, Fault.HEADER_LOST, "the header webhook-id is missing"),
        ({"webhook-id": "", "via": "1.1 x"}, Fault.HEADER_LOST, "through a proxy: via"),
        (
            {"webhook-signature": "", "x-webhook-signature": "v1,a"},
            Fault.HEADER_LOST,
            "but there is x-webhook-signature",
        ),
        (
            {"webhook-timestamp": "", "webhook_timestamp": "1"},
            Fault.HEADER_LOST,
            "but there is webhook_timestamp",
        ),
        (
            {"webhook-id": "", "webhook-timestamp": "", "webhook-signature": ""},
            Fault.HEADER_LOST,
            "or the bus did not send this",
        ),
        ({"webhook-timestamp": "noon"}, Fault.HEADER_FORM, "not a number of seconds"),
        ({"webhook-timestamp": f"{NOW_S}000"}, Fault.HEADER_FORM, "milliseconds"),
        ({"webhook-signature": "sha256=ab"}, Fault.HEADER_FORM, "not in the form v1,<base64>"),
        ({"webhook-signature": "v1a,AAAA"}, Fault.SCHEME, "no v1 signature among those sent"),
    ],
)
def test_a_header_that_is_lost_or_rewritten_is_named(
    changed: dict[str, str], fault: Fault, cause: str
) -> None:
    finding = check(headers=changed)

    assert (finding.ok, finding.fault) == (False, fault)
    assert cause in finding.cause
    assert finding.remedy


def test_no_secret_is_ever_in_a_finding() -> None:
    findings = [check(secrets=[OTHER]), check(secrets=[_bare(SECRET)]), check(BODY + b" ")]

    assert all(_bare(SECRET) not in f"{one}" and _bare(OTHER) not in f"{one}" for one in findings)
