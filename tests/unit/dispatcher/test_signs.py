"""What shows that our own line and name server work."""

from noticebus.dispatcher.signs import Signs


def test_a_dead_zone_is_not_ours_once_another_name_is_found_and_reached() -> None:
    signs = Signs()
    signs.found()
    signs.reached("well.example")

    first = signs.resolver_works("dead.example")
    again = signs.resolver_works("dead.example")
    signs.found()
    signs.reached("well.example")

    assert (first, again) == (False, False)
    assert signs.resolver_works("dead.example")
    assert signs.resolver_works("dead.example"), "and stays so"
    assert not signs.resolver_works("new.example"), "which fails for the first time"


def test_an_outage_is_ours_however_long_and_whoever_answered_before() -> None:
    signs = Signs()
    for host in ("a.example", "b.example"):
        signs.found()
        signs.reached(host)

    hosts = ("a.example", "b.example") * 50

    assert not any(signs.resolver_works(one) or signs.line_works(one) for one in hosts)


def test_a_host_that_was_reached_again_begins_anew() -> None:
    signs = Signs()
    signs.line_works("flaky.example")
    signs.reached("flaky.example")

    assert not signs.line_works("flaky.example"), "its own success is none of another"
    signs.reached("well.example")
    assert signs.line_works("flaky.example")


def test_names_found_by_a_server_near_us_do_not_show_that_our_line_works() -> None:
    signs = Signs()
    signs.resolver_works("dead.example")
    signs.found()

    assert not signs.resolver_works("dead.example")
    assert not signs.line_works("dead.example")


def test_a_host_reached_without_a_look_up_does_not_show_that_names_are_found() -> None:
    signs = Signs()
    signs.resolver_works("dead.example")
    signs.reached("203.0.113.7")

    assert not signs.resolver_works("dead.example")
    assert signs.line_works("dead.example")


def test_no_more_hosts_are_remembered_than_stated() -> None:
    signs = Signs(hosts_max=2)
    for host in ("a", "b", "c"):
        signs.line_works(host)
    signs.reached("well.example")

    assert signs.line_works("b")
    assert signs.line_works("c")
    assert not signs.line_works("a"), "which was forgotten"
