"""What shows that our own line and name server work, so that a failure is not ours."""

import itertools
from collections import OrderedDict

HOSTS_MAX = 4096  # whose first failure is remembered; the oldest are forgotten


class Signs:
    """Remembers what was found and reached since a host first failed.

    At its first failure a host may be the first to meet an outage of ours, so that is ours. It
    stays ours until others succeed: then our own end works, and the host's does not, until the
    host itself is reached. The order alone counts, so a busy bus knows at its second try, a quiet
    one when the next host answers, and in a real outage, where nothing answers, all stays ours.
    One per process.
    """

    def __init__(self, *, hosts_max: int = HOSTS_MAX) -> None:
        self._hosts_max = hosts_max
        self._order = itertools.count(1)
        self._found = 0
        self._reached = 0
        self._failing: OrderedDict[str, int] = OrderedDict()  # by host, its first failure

    def found(self) -> None:
        """Note that a name was looked up, not taken from a cache of ours."""
        self._found = next(self._order)

    def reached(self, host: str) -> None:
        """Note that a host answered."""
        self._reached = next(self._order)
        self._failing.pop(host, None)

    def line_works(self, host: str) -> bool:
        """Say of a host to which there is no way whether another was reached meanwhile."""
        return self._reached > self._first_failure(host)

    def resolver_works(self, host: str) -> bool:
        """Say of a name that nobody answers for whether another was found and reached meanwhile.

        Only both will do: a name server near us may know names when our line is out, and a host
        without a name is reached when no name server answers.
        """
        return min(self._found, self._reached) > self._first_failure(host)

    def _first_failure(self, host: str) -> int:
        first = self._failing.setdefault(host, next(self._order))
        if len(self._failing) > self._hosts_max:
            self._failing.popitem(last=False)
        return first
