"""How often the token may be guessed, and by whom."""

import pytest

from collector_processor.console.guesses import REMEMBERED, Caller, Guesses, TooManyGuessesError, caller_of

OWNER = Caller("192.0.2.1")


class Clock:
    def __init__(self):
        self.now = 1_000_000.1

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guesses(clock):
    return Guesses(clock)


def wait_s(guesses, caller):
    """How long a caller has to wait; 0 where it does not."""
    try:
        guesses.check(caller)
    except TooManyGuessesError as error:
        return error.wait_s
    return 0


class Guesser:
    """Has addresses, and never tries the same twice."""

    def __init__(self, guesses):
        self._guesses, self._tried = guesses, 0

    def guess(self, caller):
        """Whether a wrong token was looked at."""
        if wait_s(self._guesses, caller):
            return False
        self._tried += 1
        self._guesses.was_wrong(caller, b"guess%d" % self._tried)
        return True

    def looked_at(self, times, caller):
        return sum(self.guess(caller) for _ in range(times))


def test_ten_may_be_wrong_at_once_and_then_one_in_six_seconds(guesses, clock):
    """Which is what the refusal says; after a quiet minute all is as it was."""
    guesser = Guesser(guesses)
    at_once = guesser.looked_at(100, OWNER)
    wait = wait_s(guesses, OWNER)
    clock.now += wait
    afterwards = guesser.looked_at(100, OWNER)
    clock.now += 60
    later = guesser.looked_at(100, OWNER)

    assert (at_once, afterwards, later) == (10, 1, 10)
    assert wait == pytest.approx(6)


def test_guessing_all_the_time_is_no_faster(guesses, clock):
    """Nor does asking while it is refused make anybody wait longer."""
    guesser, looked_at = Guesser(guesses), 0
    for _ in range(3600):
        clock.now += 1
        looked_at += guesser.looked_at(20, OWNER)

    assert 600 <= looked_at <= 611


def test_nobody_elsewhere_waits(guesses):
    """A stranger locks out no one but those at the same address."""
    Guesser(guesses).looked_at(1000, Caller("198.51.100.9"))

    assert wait_s(guesses, OWNER) == 0


def test_clients_of_a_proxy_are_told_apart(guesses):
    """And whoever makes up names gets no more than sixty by it."""
    guesser, proxy = Guesser(guesses), "203.0.113.1"
    first = guesser.looked_at(100, Caller(proxy, "198.51.100.1"))
    waits = [wait_s(guesses, Caller(proxy, name)) for name in ("198.51.100.1", "198.51.100.2", "")]
    made_up = sum(guesser.guess(Caller(proxy, f"10.0.{number // 256}.{number % 256}")) for number in range(5000))

    assert (first, waits[1:]) == (10, [0, 0])
    assert waits[0] > 0
    assert first + made_up == 60
    assert wait_s(guesses, OWNER) == 0


def test_all_together_meet_a_ceiling_that_spends_nobody_elses_first_guess(guesses, clock):
    """Beyond it an address has one a minute: the owner's is always among them."""
    guesser = Guesser(guesses)
    strangers = [Caller(f"10.0.{number // 256}.{number % 256}") for number in range(1000)]
    looked_at = sum(guesser.looked_at(10, stranger) for stranger in strangers)

    assert looked_at <= 300 + len(strangers)
    assert wait_s(guesses, strangers[-1]) > 0
    assert wait_s(guesses, OWNER) == 0
    clock.now += 61
    assert wait_s(guesses, strangers[-1]) == 0


def test_what_is_remembered_is_bounded_however_many_guess(guesses):
    """Then new addresses wait, and those that have shown the token do not."""
    guesser = Guesser(guesses)
    guesses.was_right(OWNER)
    looked_at = sum(guesser.guess(Caller(f"address{number}")) for number in range(100_000))

    assert len(guesses) <= REMEMBERED
    assert looked_at <= REMEMBERED / 2
    assert wait_s(guesses, Caller("192.0.2.99")) >= 1
    assert wait_s(guesses, OWNER) == 0
    assert guesser.looked_at(100, OWNER) == 10


def test_names_that_are_made_up_where_the_token_is_known_do_not_fill_it_either(guesses, clock):
    """Hours of it, from as many addresses as there may be."""
    guesser = Guesser(guesses)
    for number in range(2000):
        guesses.was_right(Caller(f"known{number}"))
    largest = 0
    for step in range(20):
        clock.now += 7
        for number in range(2000):
            guesser.guess(Caller(f"known{number}", f"{step}"))
        largest = max(largest, len(guesses))

    assert largest <= 2 * REMEMBERED
    clock.now += 61
    wait_s(guesses, OWNER)
    assert len(guesses) == 0


def test_the_same_wrong_token_again_is_no_guess(guesses):
    """Scripts with an old token do not use up what their owner may mistype."""
    for _ in range(1000):
        guesses.was_wrong(OWNER, b"old")
        guesses.was_wrong(OWNER, b"older")

    assert Guesser(guesses).looked_at(100, OWNER) == 8


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "caller"),
    [
        ("192.0.2.1", "", Caller("192.0.2.1")),
        ("::ffff:192.0.2.1", "", Caller("192.0.2.1")),
        ("2001:db8:1:2:3:4:5:6", "", Caller("2001:db8:1:2::/64")),
        ("fe80::1%eth0", "", Caller("fe80::/64")),
        ("192.0.2.1", "198.51.100.1", Caller("192.0.2.1", "198.51.100.1")),
        ("192.0.2.1", "10.0.0.1, 198.51.100.1:443", Caller("192.0.2.1", "198.51.100.1")),
        ("192.0.2.1", "[2001:db8:1:2::3]:443", Caller("192.0.2.1", "2001:db8:1:2::/64")),
        ("192.0.2.1", "10.0.0.1, unknown", Caller("192.0.2.1")),
        ("192.0.2.1", "x" * 60_000, Caller("192.0.2.1")),
        ("127.0.0.1", "", Caller("loopback")),
        ("127.9.8.7", "", Caller("loopback")),
        ("::1", "nonsense", Caller("loopback")),
        ("127.0.0.1", "198.51.100.1", Caller("loopback for 198.51.100.1")),
        ("::ffff:127.0.0.1", "198.51.100.1", Caller("loopback for 198.51.100.1")),
        (None, "", Caller("unknown")),
    ],
)
def test_who_asks_is_an_address_and_a_name_for_it(peer, forwarded_for, caller):
    """Ports, notations and addresses of the same customer do not make it another; a name from loopback is believed."""
    assert caller_of(peer, forwarded_for) == caller
