"""What one version of a notice says that the one before it did not."""

from noticebus.domain.notice_changes import Change, changes, fields_of


def test_fields_are_named_by_their_path_and_rows_are_numbered() -> None:
    content = {
        "id": "ntc_1",
        "headline": "Near Morton",
        "areas": [{"county_fips": ["28123", "28059"], "radius_km": 8}],
        "children": {"status": "unknown", "low": None},
        "locator": True,
        "sites": [],
        "marking": "",
        "occurred_at": "2019-08-07T12:55:00Z",
        "expires_at": "2019-08-07T12:55:30.5Z",
    }
    assert fields_of(content) == {
        "headline": "Near Morton",
        "areas 1 · county fips": "28123, 28059",
        "areas 1 · radius km": "8",
        "children · status": "unknown",
        "locator": "yes",
        "occurred at": "2019-08-07 12:55 UTC",
        "expires at": "2019-08-07 12:55:30 UTC",
    }


def test_changes_name_what_is_new_what_differs_and_what_is_gone() -> None:
    before = {"headline": "A", "description": "old", "version": 1, "phase": "secured"}
    after = {"headline": "A", "description": "new", "version": 2, "urgency": "Immediate"}
    assert changes(before, after) == [
        Change(field="description", before="old", after="new"),
        Change(field="urgency", before=None, after="Immediate"),
        Change(field="phase", before="secured", after=None),
    ]
