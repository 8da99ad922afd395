import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.canonical import canonical, digest, written
from noticebus.contracts.event_parts import OfferPart, QuestionPart
from noticebus.contracts.vocabulary import (
    Answer,
    Cause,
    ContentLevel,
    NoticeClass,
    Notify,
    OfferState,
    OfferType,
    Owed,
    QuestionTopic,
)
from noticebus.contracts.webhook import (
    EVENTS,
    Envelope,
    ObligationPart,
    SubscriptionPart,
    event,
    event_type,
    render,
    schema_name,
)

Body = dict[str, Any]
T0 = dt.datetime(2019, 8, 7, 13, 4, 5, tzinfo=dt.UTC)
TAIL = "01k00000000000000000000001"
OBLIGATION = ObligationPart(
    id=f"obl_{TAIL}",
    notice_class=NoticeClass.B,
    closes_with=Answer.ACCEPTED,
    due_at=T0 + dt.timedelta(hours=1),
    acknowledge_url="https://bus.example.gov/v1/notices/x/acknowledgements",
    acknowledge_page="https://bus.example.gov/obligations/x",
)
SUBSCRIPTION = SubscriptionPart(id=f"sub_{TAIL}", sequence=42, content_level=ContentLevel.PARTNER)
QUESTION = QuestionPart(
    id=f"qst_{TAIL}",
    incident_id=f"inc_{TAIL}",
    notice_id=f"ntc_{TAIL}",
    topic=QuestionTopic.AGES,
    text="How old?",
    due_at=T0,
)
ANSWERED = dataclasses.replace(QUESTION, answer={"number": 32}, answered_at=T0)
OFFER = OfferPart(
    id=f"ofr_{TAIL}",
    incident_id=f"inc_{TAIL}",
    notice_id=f"ntc_{TAIL}",
    offer_type=OfferType.MEALS,
    quantity=40,
    unit="meals",
    state=OfferState.OPEN,
    accepted_quantity=None,
    lapses_at=T0,
)
NOTICE = {"id": f"ntc_{TAIL}", "version": 1, "kind": "advance", "status": "test", "class": "C"}


def _envelope(cause: Cause = Cause.NOTICE, **parts: object) -> Envelope:
    bare = Envelope(
        delivery_id=f"dlv_{TAIL}",
        source="https://bus.example.gov",
        cause=cause,
        subject="s",
        time=T0,
    )
    return dataclasses.replace(bare, **parts)  # type: ignore[arg-type]


def test_notice_event_is_the_published_example_byte_for_byte(
    example: Callable[[str], Body],
) -> None:
    wanted = example("event.v1.notice")
    obligation = dataclasses.replace(
        OBLIGATION,
        acknowledge_url=wanted["data"]["obligation"]["acknowledge_url"],
        acknowledge_page=wanted["data"]["obligation"]["acknowledge_page"],
    )
    envelope = _envelope(
        subject=wanted["subject"],
        notice=wanted["data"]["notice"],
        obligation=obligation,
        subscription=SUBSCRIPTION,
    )

    assert render(envelope) == canonical(wanted)


@pytest.mark.parametrize("cause", list(EVENTS))
def test_every_cause_has_a_type_a_schema_and_a_model(cause: Cause) -> None:
    envelope = _envelope(
        cause,
        notice=NOTICE,
        obligation=OBLIGATION,
        subscription=SUBSCRIPTION,
        question=ANSWERED if cause is Cause.ANSWER else QUESTION,
        offer=OFFER,
        challenge="c",
    )
    body = json.loads(render(envelope))

    assert body["type"] == event_type(cause)
    assert body["dataschema"] == f"https://bus.example.gov/schemas/{schema_name(cause)}"
    EVENTS[cause].model_validate(body)


def test_answer_is_left_out_for_who_may_not_read_it() -> None:
    hidden = dataclasses.replace(ANSWERED, text=None, answer=None)

    shown = json.loads(render(_envelope(Cause.ANSWER, question=ANSWERED)))["data"]["question"]
    left = json.loads(render(_envelope(Cause.ANSWER, question=hidden)))["data"]["question"]

    assert (shown["answer"], shown["text"]) == ({"number": 32}, "How old?")
    assert (left["answer"], left["text"]) == (None, None)
    assert left["answered_at"] == shown["answered_at"]


def test_step_of_what_a_poster_owes_says_what_it_is() -> None:
    owed = dataclasses.replace(OBLIGATION, closes_with=None, owed=Owed.UPDATE)

    said = json.loads(render(_envelope(Cause.STEP, notice=NOTICE, obligation=owed)))["data"]

    assert said["obligation"]["owed"] == "update"
    assert said["obligation"]["closes_with"] is None


def test_only_a_notice_shows_a_sequence_in_the_envelope() -> None:
    wanted = {"sequence": "00000000000000000042"}
    part = dataclasses.replace(SUBSCRIPTION, sequence=None)

    assert wanted.items() <= json.loads(render(_envelope(subscription=SUBSCRIPTION))).items()
    assert "sequence" not in json.loads(render(_envelope(subscription=part)))
    assert "sequence" not in json.loads(render(_envelope()))
    heartbeat = json.loads(render(_envelope(Cause.HEARTBEAT, subscription=SUBSCRIPTION)))
    assert "sequence" not in heartbeat
    assert heartbeat["data"]["subscription"]["sequence"] == 42


def test_what_is_not_there_is_absent_and_a_class_without_deadline_says_null() -> None:
    record = dataclasses.replace(OBLIGATION, closes_with=None, due_at=None)
    body = json.loads(render(_envelope(obligation=record)))

    assert set(body["data"]) == {"obligation"}
    assert body["data"]["obligation"]["due_at"] is None
    assert body["data"]["obligation"]["closes_with"] is None
    assert "step" not in body["data"]["obligation"]


def test_step_event_says_which_step_and_whom_it_reached() -> None:
    step = dataclasses.replace(OBLIGATION, step=2, notify=Notify.HEAD)
    body = json.loads(render(_envelope(Cause.STEP, obligation=step)))

    assert body["data"]["obligation"]["step"] == 2
    assert body["data"]["obligation"]["notify"] == "head"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e6, 1e6)  # every number of a model is bounded
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda one: (
        st.lists(one) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), one)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=6))
def test_order_of_keys_never_changes_a_byte(notice: Body) -> None:
    turned = dict(reversed(notice.items()))

    assert render(_envelope(notice=notice)) == render(_envelope(notice=turned))
    assert digest(notice) == digest(turned)


@given(
    cause=st.sampled_from(list(EVENTS)),
    notice=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=6),
    obligation=st.sampled_from([None, OBLIGATION]),
    subscription=st.sampled_from([None, SUBSCRIPTION]),
    question=st.none()
    | st.builds(lambda answer: dataclasses.replace(ANSWERED, answer={"number": answer}), JSON),
    offer=st.sampled_from([None, OFFER]),
    challenge=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)
def test_notice_written_once_for_all_gives_the_bytes_of_one_written_for_each(
    notice: Body, **parts: Any
) -> None:
    slow = rfc8785.dumps(event(_envelope(notice=notice, **parts)))

    assert render(_envelope(notice=written(notice), **parts)) == slow


@given(JSON)
def test_canonical_bytes_are_json_and_canonical_again(value: Any) -> None:
    written = canonical(value)

    assert canonical(json.loads(written)) == written
