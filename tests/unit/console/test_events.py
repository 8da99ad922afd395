"""The catalogue of events is whole: each type once, with an example of that very type."""

import json

from noticebus.console.events import catalogue
from noticebus.contracts.vocabulary import Cause
from noticebus.contracts.webhook import EVENTS, event_type


def test_every_type_stands_in_the_catalogue_with_an_example_of_it() -> None:
    shown = catalogue()

    assert [one.type for one in shown] == [event_type(cause) for cause in EVENTS]
    assert [json.loads(one.example)["type"] for one in shown] == [one.type for one in shown]
    assert all(one.said.endswith(".") for one in shown)
    assert len({one.name for one in shown}) == len(shown)
    assert event_type(Cause.HANDSHAKE) in {one.type for one in shown}
