"""A disk that fills is warned about, then kept for answers."""

import pytest

from noticebus.domain.disk_space import MEGABYTE, Space, refusal, warning

GIGABYTE = 1000 * MEGABYTE


@pytest.mark.parametrize(
    ("total", "free", "warned"),
    [
        (100 * GIGABYTE, 5 * GIGABYTE, False),
        (100 * GIGABYTE, 5 * GIGABYTE - 1, True),
        (GIGABYTE, 200 * MEGABYTE, False),
        (GIGABYTE, 200 * MEGABYTE - 1, True),
    ],
)
def test_less_than_a_twentieth_or_200_megabytes_is_warned_about(
    total: int, free: int, *, warned: bool
) -> None:
    assert (warning(Space(total=total, free=free)) is not None) is warned


def test_what_is_reserved_is_refused_and_said_in_megabytes() -> None:
    scarce = Space(total=100 * GIGABYTE, free=50 * MEGABYTE - 1)

    why = refusal(scarce, reserve=50 * MEGABYTE)

    assert why is not None
    assert "has 49 MB left, and the last 50 MB are kept for answers" in why
    assert refusal(scarce, reserve=49 * MEGABYTE) is None
    assert refusal(scarce, reserve=0) is None
