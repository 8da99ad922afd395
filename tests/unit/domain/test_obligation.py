"""What answers, versions, deliveries and cancels do to an obligation."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    NoticeClass,
    ObligationState,
    Owed,
    Standing,
)
from noticebus.domain.obligation import (
    MORE_TIME_MAX,
    Closes,
    Declines,
    Extends,
    Given,
    NoChange,
    NoteReason,
    Notes,
    Obligation,
    OpensRound,
    Refused,
    VersionFacts,
    Waives,
    Withdraws,
    after_version,
    closes_with,
    closing_answers,
    decide,
    is_overdue,
    on_delivered,
    on_question_answered,
    waive,
    withdraw,
)

DUE = dt.datetime(2019, 8, 7, 17, tzinfo=dt.UTC)
IN_TIME = DUE - dt.timedelta(minutes=5)
TOO_LATE = DUE + dt.timedelta(minutes=5)
ACCEPTED = Given(answer=Answer.ACCEPTED, version=1)
RECEIVED = Given(answer=Answer.RECEIVED, version=1)


def obligation(**facts: Any) -> Obligation:
    known: dict[str, Any] = {
        "state": ObligationState.OPEN,
        "epoch": 1,
        "notice_class": NoticeClass.B,
        "owed": Owed.NOTICE,
        "standing": Standing.MANDATORY,
        "round_version": 1,
        "due_at": DUE,
    }
    return Obligation(**(known | facts))


def declined(reason: DeclineReason | None = DeclineReason.NO_JURISDICTION) -> Given:
    return Given(answer=Answer.DECLINED, version=1, reason=reason)


def more_time(eta: dt.datetime | None) -> Given:
    return Given(answer=Answer.NEED_MORE_TIME, version=1, eta=eta)


@pytest.mark.parametrize(
    ("notice_class", "answer"),
    [
        (NoticeClass.A, Answer.ACCEPTED),
        (NoticeClass.B, Answer.ACCEPTED),
        (NoticeClass.C, Answer.RECEIVED),
        (NoticeClass.D, None),
    ],
)
def test_class_says_which_answer_closes(notice_class: NoticeClass, answer: Answer | None) -> None:
    assert closes_with(notice_class) is answer


@pytest.mark.parametrize("notice_class", NoticeClass)
def test_every_answer_that_closes_a_class_does(notice_class: NoticeClass) -> None:
    for answer in (Answer.ACCEPTED, Answer.RECEIVED):
        found = decide(
            obligation=obligation(notice_class=notice_class),
            answer=Given(answer=answer, version=1),
            now=IN_TIME,
        )
        assert isinstance(found, Closes) is (answer in closing_answers(notice_class))


@pytest.mark.parametrize("notice_class", NoticeClass)
@pytest.mark.parametrize(
    "state", [ObligationState.OPEN, ObligationState.DECLINED, ObligationState.WAIVED]
)
def test_accepted_closes_whatever_a_person_can_still_take_on(
    notice_class: NoticeClass, state: ObligationState
) -> None:
    found = decide(
        obligation=obligation(notice_class=notice_class, state=state), answer=ACCEPTED, now=IN_TIME
    )

    assert found == Closes(late=False)


@pytest.mark.parametrize("notice_class", [NoticeClass.A, NoticeClass.B])
def test_received_is_only_a_fact_where_acceptance_is_owed(notice_class: NoticeClass) -> None:
    found = decide(obligation=obligation(notice_class=notice_class), answer=RECEIVED, now=IN_TIME)

    assert found == Notes(why=NoteReason.RECEIVED, late=False)


@pytest.mark.parametrize("notice_class", [NoticeClass.C, NoticeClass.D])
def test_received_closes_preparation_and_record(notice_class: NoticeClass) -> None:
    found = decide(obligation=obligation(notice_class=notice_class), answer=RECEIVED, now=IN_TIME)

    assert found == Closes(late=False)


def test_late_answer_is_taken_and_marked_late() -> None:
    assert decide(obligation=obligation(), answer=ACCEPTED, now=TOO_LATE) == Closes(late=True)
    assert decide(obligation=obligation(), answer=ACCEPTED, now=DUE) == Closes(late=False)


def test_promise_does_not_make_a_late_answer_early() -> None:
    promised = obligation(promised_until=TOO_LATE + dt.timedelta(hours=1), more_time_used=True)

    assert decide(obligation=promised, answer=ACCEPTED, now=TOO_LATE) == Closes(late=True)


def test_nothing_is_late_without_a_deadline() -> None:
    found = decide(obligation=obligation(due_at=None), answer=ACCEPTED, now=TOO_LATE)

    assert found == Closes(late=False)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (ObligationState.CLOSED, NoteReason.ALREADY_CLOSED),
        (ObligationState.WITHDRAWN, NoteReason.WITHDRAWN),
    ],
)
@pytest.mark.parametrize("answer", [ACCEPTED, RECEIVED, declined(), more_time(None)])
def test_answer_after_the_end_is_recorded_only(
    state: ObligationState, why: NoteReason, answer: Given
) -> None:
    found = decide(obligation=obligation(state=state), answer=answer, now=TOO_LATE)

    assert found == Notes(why=why, late=True)


@pytest.mark.parametrize("answer", [ACCEPTED, RECEIVED, declined(), more_time(None)])
def test_answer_to_an_older_version_closes_nothing_newer(answer: Given) -> None:
    found = decide(obligation=obligation(round_version=2), answer=answer, now=IN_TIME)

    assert found == Notes(why=NoteReason.OLDER_VERSION, late=False)


def test_answer_to_a_later_version_that_opened_no_round_closes() -> None:
    found = decide(
        obligation=obligation(round_version=2),
        answer=Given(answer=Answer.ACCEPTED, version=3),
        now=IN_TIME,
    )

    assert found == Closes(late=False)


@pytest.mark.parametrize(
    ("reason", "facts", "reroute"),
    [
        (DeclineReason.NO_JURISDICTION, {}, True),
        (DeclineReason.NO_CAPACITY, {}, True),
        (DeclineReason.DUPLICATE, {}, True),
        (DeclineReason.OTHER, {}, True),
        (DeclineReason.NO_JURISDICTION, {"standing": Standing.ADVISORY}, False),
        (DeclineReason.NO_JURISDICTION, {"owed": Owed.COVERAGE}, False),
    ],
)
def test_decline_of_a_duty_routes_again_whatever_its_reason(
    reason: DeclineReason, facts: dict[str, Any], *, reroute: bool
) -> None:
    found = decide(obligation=obligation(**facts), answer=declined(reason), now=TOO_LATE)

    assert found == Declines(reason=reason, reroute=reroute, late=True)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (ObligationState.DECLINED, NoteReason.ALREADY_DECLINED),
        (ObligationState.WAIVED, NoteReason.WAIVED),
    ],
)
@pytest.mark.parametrize("answer", [declined(), more_time(IN_TIME)])
def test_nothing_is_left_to_decline_or_extend_once_the_clock_has_stopped(
    state: ObligationState, why: NoteReason, answer: Given
) -> None:
    found = decide(obligation=obligation(state=state), answer=answer, now=IN_TIME)

    assert found == Notes(why=why, late=False)


def test_decline_without_a_reason_is_refused_and_told_the_reasons() -> None:
    found = decide(obligation=obligation(), answer=declined(None), now=IN_TIME)

    assert isinstance(found, Refused)
    assert found.code == "reason-missing"
    assert "no_jurisdiction" in found.sentence


@pytest.mark.parametrize("notice_class", MORE_TIME_MAX)
def test_more_time_is_given_up_to_the_limit_of_the_class(notice_class: NoticeClass) -> None:
    eta = IN_TIME + MORE_TIME_MAX[notice_class]
    open_one = obligation(notice_class=notice_class)

    assert decide(obligation=open_one, answer=more_time(eta), now=IN_TIME) == Extends(
        promised_until=eta, late=False
    )
    too_far = decide(
        obligation=open_one, answer=more_time(eta + dt.timedelta(seconds=1)), now=IN_TIME
    )
    assert isinstance(too_far, Refused)
    assert too_far.code == "eta-too-far"


def test_more_time_at_a_school_ends_before_its_last_bus() -> None:
    until = IN_TIME + dt.timedelta(minutes=30)
    school = obligation(latest_eta=until)

    too_far = decide(
        obligation=school, answer=more_time(until + dt.timedelta(seconds=1)), now=IN_TIME
    )

    assert isinstance(too_far, Refused)
    assert too_far.code == "eta-too-far"
    assert "an `eta` of 2019-08-07T17:25:00Z at the latest" in too_far.sentence
    assert decide(obligation=school, answer=more_time(until), now=IN_TIME) == Extends(
        promised_until=until, late=False
    )


def test_where_no_time_is_left_before_the_last_bus_an_answer_is_asked_for() -> None:
    school = obligation(latest_eta=IN_TIME)

    found = decide(
        obligation=school, answer=more_time(IN_TIME + dt.timedelta(minutes=1)), now=IN_TIME
    )

    assert isinstance(found, Refused)
    assert found.code == "eta-too-far"
    assert found.sentence.startswith("No time is left")


def test_more_time_may_be_asked_past_the_deadline_and_is_late() -> None:
    eta = TOO_LATE + dt.timedelta(hours=1)

    assert decide(obligation=obligation(), answer=more_time(eta), now=TOO_LATE) == Extends(
        promised_until=eta, late=True
    )


@pytest.mark.parametrize(
    ("facts", "eta", "code"),
    [
        ({}, None, "eta-missing"),
        ({}, IN_TIME, "eta-past"),
        ({"more_time_used": True}, IN_TIME + dt.timedelta(hours=1), "more-time-used"),
    ],
)
def test_more_time_needs_a_future_eta_and_is_given_once(
    facts: dict[str, Any], eta: dt.datetime | None, code: str
) -> None:
    found = decide(obligation=obligation(**facts), answer=more_time(eta), now=IN_TIME)

    assert isinstance(found, Refused)
    assert found.code == code
    assert found.sentence.endswith(".")


@pytest.mark.parametrize("facts", [{"due_at": None}, {"notice_class": NoticeClass.D}])
def test_more_time_where_nothing_is_due_is_recorded_only(facts: dict[str, Any]) -> None:
    found = decide(
        obligation=obligation(**facts),
        answer=more_time(IN_TIME + dt.timedelta(hours=1)),
        now=IN_TIME,
    )

    assert found == Notes(why=NoteReason.NOTHING_DUE, late=False)


@pytest.mark.parametrize("reason", [None, DeclineReason.OTHER])
@pytest.mark.parametrize("answer", [ACCEPTED, RECEIVED])
def test_promised_update_stands_until_it_is_posted(
    answer: Given, reason: DeclineReason | None
) -> None:
    promised = obligation(owed=Owed.UPDATE)
    given = answer if reason is None else Given(answer=Answer.DECLINED, version=1, reason=reason)

    assert decide(obligation=promised, answer=given, now=IN_TIME) == Notes(
        why=NoteReason.UPDATE_STANDS, late=False
    )


@pytest.mark.parametrize("answer", [ACCEPTED, RECEIVED])
def test_question_stands_until_it_is_answered(answer: Given) -> None:
    question = obligation(owed=Owed.QUESTION)

    assert decide(obligation=question, answer=answer, now=IN_TIME) == Notes(
        why=NoteReason.QUESTION_STANDS, late=False
    )
    declined = Given(answer=Answer.DECLINED, version=1, reason=DeclineReason.OTHER)
    assert decide(obligation=question, answer=declined, now=IN_TIME) == Notes(
        why=NoteReason.QUESTION_STANDS, late=False
    )
    assert on_question_answered(obligation=question, now=TOO_LATE) == Closes(late=True)


def test_second_answer_to_a_question_is_recorded_only() -> None:
    answered = obligation(owed=Owed.QUESTION, state=ObligationState.CLOSED)

    assert on_question_answered(obligation=answered, now=IN_TIME) == Notes(
        why=NoteReason.ALREADY_CLOSED, late=False
    )


def test_delivery_closes_a_record() -> None:
    record = obligation(notice_class=NoticeClass.D, due_at=None)

    assert on_delivered(obligation=record, version=1, now=IN_TIME) == Closes(late=False)


@pytest.mark.parametrize(
    "facts",
    [
        {"notice_class": NoticeClass.A},
        {"notice_class": NoticeClass.C},
        {"notice_class": NoticeClass.D, "owed": Owed.QUESTION},
        {"notice_class": NoticeClass.D, "state": ObligationState.WITHDRAWN},
        {"notice_class": NoticeClass.D, "round_version": 2},
    ],
)
def test_delivery_is_otherwise_only_a_fact(facts: dict[str, Any]) -> None:
    assert on_delivered(obligation=obligation(**facts), version=1, now=IN_TIME) == NoChange()


@pytest.mark.parametrize("state", ObligationState)
def test_cancel_withdraws_only_what_is_open(state: ObligationState) -> None:
    found = withdraw(obligation(state=state))

    assert found == (Withdraws() if state is ObligationState.OPEN else NoChange())


@pytest.mark.parametrize("state", ObligationState)
def test_operators_waive_only_an_open_answer_of_the_round_they_saw(state: ObligationState) -> None:
    found = waive(obligation(state=state), epoch=1)

    assert found == (Waives() if state is ObligationState.OPEN else NoChange())
    assert waive(obligation(state=state, epoch=2), epoch=1) == NoChange()
    assert waive(obligation(state=state, owed=Owed.QUESTION), epoch=1) == NoChange()


@pytest.mark.parametrize("state", ObligationState)
def test_overdue_is_open_and_past_the_deadline(state: ObligationState) -> None:
    one = obligation(state=state)

    assert is_overdue(one, TOO_LATE) is (state is ObligationState.OPEN)
    assert not is_overdue(one, DUE)


def version(number: int, notice_class: NoticeClass, *, material: bool = True) -> VersionFacts:
    return VersionFacts(version=number, notice_class=notice_class, material=material)


def test_version_that_is_not_material_touches_nothing() -> None:
    found = after_version(
        obligation=obligation(), new=version(2, NoticeClass.A, material=False), earlier=()
    )

    assert found == NoChange()


def test_material_version_opens_a_round_of_the_highest_unanswered_class() -> None:
    found = after_version(
        obligation=obligation(epoch=3, round_version=2),
        new=version(4, NoticeClass.C),
        earlier=[
            version(1, NoticeClass.A),  # answered
            version(2, NoticeClass.B),
            version(3, NoticeClass.A, material=False),
        ],
        answered_version=1,
    )

    assert found == OpensRound(epoch=4, notice_class=NoticeClass.B, round_version=4)


def test_unanswered_class_a_is_not_lowered_by_a_later_version() -> None:
    found = after_version(
        obligation=obligation(), new=version(2, NoticeClass.C), earlier=[version(1, NoticeClass.A)]
    )

    assert found == OpensRound(epoch=2, notice_class=NoticeClass.A, round_version=2)


@pytest.mark.parametrize("state", [one for one in ObligationState if one != ObligationState.OPEN])
def test_settled_obligation_leaves_nothing_unanswered_behind(state: ObligationState) -> None:
    found = after_version(
        obligation=obligation(state=state),
        new=version(2, NoticeClass.C),
        earlier=[version(1, NoticeClass.A)],
    )

    assert found == OpensRound(epoch=2, notice_class=NoticeClass.C, round_version=2)


obligations = st.builds(
    Obligation,
    state=st.sampled_from(ObligationState),
    epoch=st.integers(1, 5),
    notice_class=st.sampled_from(NoticeClass),
    owed=st.sampled_from(Owed),
    standing=st.sampled_from(Standing),
    round_version=st.integers(1, 3),
    due_at=st.none() | st.just(DUE),
    more_time_used=st.booleans(),
)
answers = st.builds(
    Given,
    answer=st.sampled_from(Answer),
    version=st.integers(1, 3),
    eta=st.none() | st.timedeltas(dt.timedelta(days=-1), dt.timedelta(days=4)).map(DUE.__add__),
    reason=st.none() | st.sampled_from(DeclineReason),
)


@given(obligations, answers, st.timedeltas(dt.timedelta(days=-2), dt.timedelta(days=2)))
def test_every_answer_in_every_state_has_a_lawful_decision(
    one: Obligation, answer: Given, offset: dt.timedelta
) -> None:
    now = DUE + offset

    found = decide(obligation=one, answer=answer, now=now)

    if isinstance(found, Closes):
        assert one.state not in {ObligationState.CLOSED, ObligationState.WITHDRAWN}
        assert answer.version >= one.round_version
        assert answer.answer in {Answer.ACCEPTED, Answer.RECEIVED}
    if isinstance(found, Declines | Extends):
        assert one.state is ObligationState.OPEN
    if isinstance(found, Extends):
        assert now < found.promised_until <= now + MORE_TIME_MAX[one.notice_class]
    if answer.answer in {Answer.ACCEPTED, Answer.RECEIVED}:
        assert not isinstance(found, Refused)  # good news is never turned away
