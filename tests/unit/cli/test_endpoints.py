"""How an endpoint does stands beside its subscription's own fields in a table."""

from noticebus.cli.endpoints import with_endpoint


def test_an_endpoint_is_laid_out_flat() -> None:
    view = {"id": "sub_1", "endpoint": {"state": "tripped", "failures": 10, "held_back": 3}}

    assert with_endpoint(view) == {
        "id": "sub_1",
        "endpoint": "tripped",
        "endpoint_failures": 10,
        "endpoint_held_back": 3,
    }


def test_what_has_no_endpoint_says_so() -> None:
    assert with_endpoint({"id": "sub_1", "endpoint": None}) == {"id": "sub_1", "endpoint": None}
