"""Shards on the wire: CloudEvents 1.0 out, a shard or poison in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.bus.port import (
    SHARD_BYTES_MAX,
    SHARD_DELIVERIES_MAX,
    Poison,
    Shard,
    decode,
    encode,
    split,
)
from noticebus.ids import DeliveryId, NoticeId, new_delivery_id, new_notice_id

SHARD = Shard(
    notice_id=NoticeId("ntc_1"),
    number=3,
    delivery_ids=(DeliveryId("dlv_1"), DeliveryId("dlv_2")),
    notice={"class": "B", "headline": "Escuela a las tres y media — ¿quién recoge?"},
)


def event(**changes: object) -> bytes:
    return json.dumps({**json.loads(encode(SHARD)), **changes}).encode()


def data(**changes: object) -> bytes:
    return event(data={**json.loads(encode(SHARD))["data"], **changes})


@pytest.mark.parametrize(
    ("deliveries", "sizes"), [(0, []), (1, [1]), (500, [500]), (501, [500, 1])]
)
def test_notice_is_split_into_shards_of_at_most_500(deliveries: int, sizes: list[int]) -> None:
    notice_id, ids = new_notice_id(), [new_delivery_id() for _ in range(deliveries)]

    shards = split(notice_id, ids, notice={"class": "A"})

    assert [len(shard.delivery_ids) for shard in shards] == sizes
    assert [shard.number for shard in shards] == list(range(len(sizes)))
    assert [each for shard in shards for each in shard.delivery_ids] == ids
    assert all(shard.notice == {"class": "A"} for shard in shards)


def test_shard_is_a_structured_cloud_event_keyed_by_notice_and_number() -> None:
    written = json.loads(encode(SHARD))

    assert SHARD.key == written["id"] == "ntc_1:3"
    assert written["specversion"] == "1.0"
    assert written["type"] == "org.noticebus.shard.v1"
    assert written["subject"] == "ntc_1"
    assert written["source"]
    assert written["datacontenttype"] == "application/json"


def test_shard_comes_back_as_it_went() -> None:
    assert decode(encode(SHARD)) == SHARD


def test_full_shard_fits_a_record_many_times_over() -> None:
    (shard,) = split(new_notice_id(), [new_delivery_id() for _ in range(SHARD_DELIVERIES_MAX)])

    assert len(encode(shard)) < SHARD_BYTES_MAX / 8


def test_reader_tolerates_what_later_versions_add() -> None:
    assert decode(event(traceparent="00-1-1-01")) == SHARD
    assert decode(data(region="south")) == SHARD


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"specversion": "1.0"}',
        b" " * (SHARD_BYTES_MAX + 1),
        event(specversion="0.3"),
        event(type="org.noticebus.notice.v1"),
        event(data=None),
        data(notice_id=None),
        data(number="3"),
        data(number=-1),
        data(number=True),
        data(delivery_ids=[]),
        data(delivery_ids=[1]),
        data(delivery_ids=["obl_1"]),
        data(delivery_ids=["dlv_1"] * (SHARD_DELIVERIES_MAX + 1)),
        data(notice=None),
    ],
)
def test_record_that_is_no_shard_is_poison(value: bytes | None) -> None:
    assert isinstance(decode(value), Poison)


def test_poison_does_not_tell_what_the_record_held() -> None:
    poison = decode(data(number="Maria Lopez"))

    assert isinstance(poison, Poison)
    assert "Maria" not in poison.reason


@given(st.binary())
def test_no_bytes_make_the_reader_raise(value: bytes) -> None:
    assert isinstance(decode(value), Shard | Poison)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_data_makes_the_reader_raise(value: object) -> None:
    assert isinstance(decode(event(data=value)), Shard | Poison)
