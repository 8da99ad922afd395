"""How a serving process collects garbage: seldom, and never what it has loaded for good."""

import gc

YOUNG_MAX = 20_000  # a page of a report makes some 10,000 objects, most of which end with it
OLDER_EVERY = 20


def spare_what_is_loaded() -> None:
    """Leave what exists now out of every later collection; call it once all is loaded.

    Looking at some 260,000 objects of modules and models took up to half of a report's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, OLDER_EVERY, OLDER_EVERY)
