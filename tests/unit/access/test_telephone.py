"""The provider's signature: vectors made with another tool, and everything that is not one."""

import pytest

from noticebus.access.telephone import is_from_provider, provider_signature

TOKEN = "12345"
STATUS = "https://bus.example.gov/v1/telephone/twilio/status?delivery=dlv_1"
INBOUND = "https://bus.example.gov/v1/telephone/twilio/inbound"
CALL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL_FIELDS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+12349013030"),
    ("Digits", "1234"),
    ("From", "+12349013030"),
    ("To", "+18005551212"),
]


@pytest.mark.parametrize(
    ("url", "fields", "signature"),
    [
        (CALL, CALL_FIELDS, "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),  # the provider's own example
        # printf %s "$url$names_and_values" | openssl dgst -sha1 -hmac 12345 -binary | base64
        (STATUS, [], "wBwN06Slnqm3lk5W2z0sTQ7iEnY="),
        (INBOUND, [("Body", "Sí 123456"), ("B", "")], "yiJv9ewIwlarWSjfsc1zYd2nPZ0="),
    ],
)
def test_the_signature_is_the_one_that_other_tools_compute(
    url: str, fields: list[tuple[str, str]], signature: str
) -> None:
    assert provider_signature(TOKEN, url=url, parameters=fields) == signature
    assert provider_signature(TOKEN, url=url, parameters=reversed(fields)) == signature
    assert is_from_provider(TOKEN, url=url, parameters=fields, given=signature)


def test_a_field_given_twice_alike_counts_once() -> None:
    twice = [*CALL_FIELDS, CALL_FIELDS[0]]

    assert provider_signature(TOKEN, url=CALL, parameters=twice) == provider_signature(
        TOKEN, url=CALL, parameters=CALL_FIELDS
    )


@pytest.mark.parametrize(
    ("token", "url", "fields", "given"),
    [
        (TOKEN, CALL, CALL_FIELDS, ""),
        (TOKEN, CALL, CALL_FIELDS, "ÿ" * 28),
        (TOKEN, CALL, CALL_FIELDS, "\udcff"),
        ("54321", CALL, CALL_FIELDS, "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
        (TOKEN, CALL + "&x=1", CALL_FIELDS, "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
        (TOKEN, CALL, CALL_FIELDS[1:], "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
        (TOKEN, CALL, [*CALL_FIELDS, ("X", "")], "0/KCTR6DLpKmkAf8muzZqo1nDgQ="),
    ],
)
def test_anything_changed_is_not_from_the_provider(
    token: str, url: str, fields: list[tuple[str, str]], given: str
) -> None:
    assert not is_from_provider(token, url=url, parameters=fields, given=given)
