"""Request examples for OpenAPI: short, true to the rules, and posted by a test."""

from collections.abc import Mapping
from typing import Any

from fastapi.openapi.models import Example

_BY = {"name": "R. Example", "role": "intake supervisor"}
_NOTICE = {
    "kind": "enforcement_action",
    "status": "exercise",
    "class": "B",
    "occurred_at": "2019-08-07T12:55:00Z",
    "sender": {
        "unit": "Field office",
        "role": "duty officer",
        "callback_phone": "+16015550100",
    },
    "headline": "Exercise: enforcement action near Morton, children may need care",
    "areas": [{"county_fips": ["28123"]}],
    "children": {"status": "unknown"},
}
_COUNTED = {
    "sites": [{"site_id": "s1", "label": "food plant near Morton", "county_fips": "28123"}],
    "counts": [
        {
            "site_id": "s1",
            "as_of": "2019-08-07T16:20:00Z",
            "basis": "estimate",
            "detained_total": 100,
            "in_custody": 96,
            "released_on_site_humanitarian": 4,
            "released_on_site_other": 0,
            "released_after_processing": 0,
            "transferred_out": 0,
        }
    ],
}


def _example(summary: str, value: Mapping[str, Any]) -> Example:
    return {"summary": summary, "value": dict(value)}


NOTICE_EXAMPLES = {
    "least": _example("The least a notice says", _NOTICE),
    "counted": _example("With a site and its counts", {**_NOTICE, **_COUNTED}),
}
UPDATE_EXAMPLES = {
    "more": _example(
        "The whole state again, with what is new",
        {**_NOTICE, **_COUNTED, "base_version": 1, "change_reason": "new_info"},
    ),
}
CANCEL_EXAMPLES = {
    "mistake": _example(
        "Posted by mistake",
        {
            "base_version": 1,
            "reason": "Posted for the wrong county.",
            "by": {"name": "R. Example", "role": "duty officer"},
        },
    ),
}
RESEND_EXAMPLES = {
    "counted": _example(
        "As it was counted", {"count": 3, "mark": "6f1c0a9be2d34875", "after": 0, "again": False}
    ),
}
CONFIRM_EXAMPLES = {
    "second": _example(
        "The second person", {"by": {"name": "T. Second", "role": "supervisory officer"}}
    ),
}
ALL_CLEAR_EXAMPLES = {
    "over": _example(
        "Over, with something still open",
        {
            "base_version": 1,
            "headline": "Exercise: the action near Morton is over",
            "still_open": ["2 children not located; Scott County CPS looks for them."],
        },
    ),
}
EXERCISE_EXAMPLES = {
    "morning": _example(
        "A morning's exercise",
        {
            "name": "Autumn exercise, Scott County",
            "starts_at": "2099-10-01T14:00:00Z",
            "ends_at": "2099-10-01T17:00:00Z",
            "notice": _NOTICE,
        },
    ),
}
ANSWER_EXAMPLES = {
    "accepted": _example(
        "We have this",
        {"answer": "accepted", "by": _BY, "note": "Two screeners are on their way."},
    ),
    "received": _example("It is here", {"answer": "received", "by": _BY}),
    "need_more_time": _example(
        "Later, and when",
        {"answer": "need_more_time", "by": _BY, "eta": "2019-08-07T17:30:00Z"},
    ),
    "declined": _example(
        "Not ours", {"answer": "declined", "by": _BY, "reason": "no_jurisdiction"}
    ),
}
OPERATOR_ANSWER_EXAMPLES = {
    "by_phone": _example(
        "Told by telephone",
        {
            "answer": "accepted",
            "by": _BY,
            "how": "phone",
            "on_behalf_of": "Scott County School District",
        },
    ),
}
QUESTION_EXAMPLES = {
    "how_many": _example(
        "How many children?",
        {"topic": "how_many_children", "text": "How many children are without a carer?"},
    ),
}
QUESTION_ANSWER_EXAMPLES = {
    "number": _example("A number", {"number": 32}),
    "later": _example("A promise", {"unknown_will_report_at": "2019-08-07T20:00:00Z"}),
    "not_shared": _example("Not to be shared", {"cannot_share": "5 U.S.C. 552a(b)"}),
}
OFFER_EXAMPLES = {
    "meals": _example(
        "Meals for the evening",
        {
            "offer_type": "meals",
            "quantity": 40,
            "unit": "meals",
            "where": "Parish hall, Morton",
            "until": "2019-08-07T23:00:00Z",
            "contact": {"name": "M. Example", "phone": "+16015550120"},
            "background_checked": "not_applicable",
        },
    ),
}
OFFER_ANSWER_EXAMPLES = {
    "accept": _example("Some of it", {"answer": "accept", "quantity": 20}),
    "decline": _example("Not needed", {"answer": "decline", "reason": "The school feeds them."}),
    "hold": _example("Keep it for us", {"answer": "hold", "until": "2019-08-07T21:00:00Z"}),
}
AGENCY_EXAMPLES = {
    "cps": _example(
        "A state's child protection",
        {
            "name": "Example State CPS",
            "kind": "cps",
            "zone": "America/Chicago",
            "holidays_state": "MS",
        },
    ),
}
AGENCY_PATCH_EXAMPLES = {
    "renamed": _example("Another name", {"name": "Example State Child Protection"}),
}
CONTACT_EXAMPLES = {
    "desk": _example(
        "The desk on duty",
        {
            "name": "Intake desk",
            "role": "intake",
            "position": "on_duty",
            "email": "intake@cps.example",
            "phone": "+16015550110",
        },
    ),
}
CONTACT_PATCH_EXAMPLES = {
    "no_phone": _example("No longer by telephone", {"phone": None}),
}
RESPONSIBILITY_EXAMPLES = {
    "state": _example("For a whole state", {"role": "cps", "areas": [{"state": ["28"]}]}),
    "county": _example("For one county", {"role": "school", "areas": [{"county_fips": ["28123"]}]}),
}
SUBSCRIPTION_EXAMPLES = {
    "webhook": _example(
        "A signed webhook",
        {
            "name": "Intake system",
            "areas": [{"state": ["28"]}],
            "content_level": "partner",
            "channel": "webhook",
            "url": "https://intake.cps.example/notices",
        },
    ),
    "inbox": _example(
        "Fetched from the inbox",
        {
            "name": "Night shift",
            "areas": [{"county_fips": ["28123"]}],
            "kinds": ["enforcement_action"],
            "content_level": "public",
            "channel": "inbox",
        },
    ),
}
CONSENT_EXAMPLES = {
    "again": _example("Send the handshake again", {}),
    "topic": _example("It came over our topic", {"challenge": "2Q9v0Gm1p0m4b6w1kCq4mZ8xkq3cVd5f"}),
}
ROTATE_EXAMPLES = {
    "week": _example("Both for a week", {"overlap_hours": 168}),
    "leaked": _example("The old one has leaked", {"overlap_hours": 0}),
}
RESUME_EXAMPLES = {
    "send": _example("Send what was held back", {"held": "send"}),
    "leave": _example("Leave it in the inbox", {"held": "leave"}),
}
REPLAY_EXAMPLES = {
    "number": _example("All after number 41", {"after": 41}),
    "span": _example("Numbers 42 to 60", {"after": 41, "until": 60}),
    "time": _example("All since a time", {"since": "2019-08-07T12:00:00Z"}),
}
SUBSCRIPTION_PATCH_EXAMPLES = {
    "moved": _example("Another endpoint", {"url": "https://intake.cps.example/v2/notices"}),
}
CREDENTIALS_EXAMPLES = {
    "token": _example(
        "A bearer token from your token server",
        {
            "oauth2": {
                "token_url": "https://login.cps.example/oauth2/token",
                "client_id": "noticebus",
                "client_secret": "the secret your server gave it",
                "scope": "notices.write",
            }
        },
    ),
}
KEY_EXAMPLES = {
    "operator": _example("For an operator", {"name": "Duty operator", "scopes": ["operate"]}),
    "poster": _example(
        "For an agency that posts",
        {
            "name": "Field office",
            "agency_id": "agy_01k00000000000000000000002",
            "scopes": ["post"],
        },
    ),
}
REPORT_LINK_EXAMPLES = {
    "overdue": _example(
        "What is overdue, for an hour", {"overdue": True, "status": "actual", "valid_minutes": 60}
    ),
}
POLICY_EXAMPLES = {
    "agreed": _example(
        "As agreed with a district: the duty principal, then the superintendent",
        {
            "due_after_s": 600,
            "hold": "never",
            "quorum": 1,
            "steps": [
                {"after_s": 600, "notify": "on_duty", "channels": ["webhook", "sms", "voice"]},
                {"after_s": 1200, "notify": "head", "channels": ["sms", "voice"]},
                {"after_s": 1800, "notify": "operators", "channels": ["email"]},
            ],
        },
    ),
}
CALENDAR_EXAMPLES = {
    "school": _example(
        "A school district",
        {
            "closures": ["2026-11-25"],
            "terms": [{"first": "2026-08-06", "last": "2027-05-21"}],
            "bell": {
                "starts": "07:45",
                "dismissal": "15:10",
                "early_release": [{"day": "2026-12-18", "dismissal": "13:00"}],
            },
        },
    ),
    "office": _example(
        "An office with hours of its own",
        {
            "hours": {
                "opens": "08:00",
                "closes": "17:00",
                "weekdays": ["mon", "tue", "wed", "thu", "fri"],
            }
        },
    ),
}
ROSTER_EXAMPLES = {
    "night": _example(
        "A night on duty",
        {
            "shifts": [
                {
                    "contact": "desk@scott.example",
                    "position": "on_duty",
                    "starts_at": "2026-11-01T01:00:00Z",
                    "ends_at": "2026-11-01T14:00:00Z",
                }
            ]
        },
    ),
}

WAIVER_EXAMPLES = {
    "merged": _example(
        "The district no longer exists",
        {
            "reason": "Merged into Scott County Schools on 1 July, which has answered.",
            "by_name": "Dana Reyes",
        },
    ),
}
WAIVER_CONFIRM_EXAMPLES = {
    "second": _example(
        "The second person, about the request that was read",
        {"by_name": "Lee Ortiz", "requested_at": "2019-08-07T18:20:00Z"},
    ),
}


def file_example(text: str) -> dict[str, Any]:
    """Show a file that may be sent as it is."""
    return {"file": {"summary": "A file as a calendar or roster program writes it", "value": text}}


CSV_ROSTER = """contact,position,starts,ends
desk@scott.example,on_duty,2026-10-31 20:00,2026-11-01 08:00
"""
ICS_ROSTER = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//roster//EN
BEGIN:VEVENT
UID:night-1@scott.example
DTSTAMP:20261001T000000Z
DTSTART;TZID=America/Chicago:20261031T200000
DTEND;TZID=America/Chicago:20261101T080000
SUMMARY:Desk
ATTENDEE:mailto:desk@scott.example
CATEGORIES:ON_DUTY
END:VEVENT
END:VCALENDAR
"""
ICS_CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//school//EN
BEGIN:VEVENT
UID:thanksgiving@scott.example
DTSTAMP:20261001T000000Z
DTSTART;VALUE=DATE:20261123
DTEND;VALUE=DATE:20261128
SUMMARY:Thanksgiving
CATEGORIES:CLOSURE
END:VEVENT
END:VCALENDAR
"""
DELEGATION_EXAMPLES = {
    "nights": _example(
        "County dispatch answers at night",
        {"delegate_id": "agy_01k6v3x8hkfz2rj3m0c4k7s9ta", "hours": "out_of_hours"},
    ),
}
