"""Up to where a consumer may commit, when it finishes its records in any order."""


class Offsets:
    """Per partition, the offsets that are out and the next one to come.

    Kafka keeps one number per partition, so a commit may only reach the first offset that is not
    done: everything from there on comes again if this consumer dies.
    """

    def __init__(self) -> None:
        self._out: dict[int, dict[int, None]] = {}  # insertion order is offset order
        self._next: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    @property
    def outstanding(self) -> int:
        return sum(len(offsets) for offsets in self._out.values())

    def issue(self, partition: int, offset: int) -> None:
        """Note that the record at `offset` was taken; a partition gives them in rising order.

        One that gives an older offset was made anew: what was known of it is of another partition.
        """
        if offset < self._next.get(partition, 0):
            self.forget({partition})
        self._out.setdefault(partition, {})[offset] = None
        self._committed.setdefault(partition, offset)
        self._next[partition] = offset + 1

    def finish(self, partition: int, offset: int) -> None:
        """Note that the record is done; one that is not out, or no longer, changes nothing."""
        self._out.get(partition, {}).pop(offset, None)

    def following(self, partition: int) -> int | None:
        """Give the offset to take next; None where nothing was taken yet."""
        return self._next.get(partition)

    def reached(self, partition: int) -> int | None:
        """Give the first offset that is not done; None where nothing was taken yet."""
        following = self._next.get(partition)
        return None if following is None else next(iter(self._out[partition]), following)

    def committable(self) -> dict[int, int]:
        """Give, per partition with progress since the last commit, the offset to commit."""
        reached = {
            partition: next(iter(self._out[partition]), following)
            for partition, following in self._next.items()
        }
        return {
            partition: offset
            for partition, offset in reached.items()
            if offset > self._committed[partition]
        }

    def committed(self, offsets: dict[int, int]) -> None:
        """Note that these offsets are stored by the broker."""
        for partition, offset in offsets.items():
            if (
                partition in self._next
            ):  # it may have gone to somebody else while the commit was on its way
                self._committed[partition] = offset

    def forget(self, partitions: set[int] | None = None) -> None:
        """Drop partitions that now belong to somebody else; all of them if none are named."""
        for partition in set(self._next) if partitions is None else partitions:
            for book in (self._out, self._next, self._committed):
                book.pop(partition, None)
