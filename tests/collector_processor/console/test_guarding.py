"""Who may look, and where a login leads."""

import pytest

from collector_processor.console.guarding import COOKIE, Gate, local_path
from collector_processor.console.guesses import Caller, Guesses, TooManyGuessesError

TOKEN = "correct-horse"
CALLER = Caller("192.0.2.1")


@pytest.fixture
def gate():
    return Gate(TOKEN, is_local=False)


def test_without_a_token_everybody_is_let_in():
    """Whoever reaches the address then reads the pages; settings say who that may be."""
    gate = Gate(None, is_local=True)

    assert not gate.asks
    assert gate.admits({}, CALLER)
    assert gate.session("anything", CALLER) is None


@pytest.mark.parametrize("value", ["Bearer correct-horse", "bearer correct-horse", "BEARER  correct-horse"])
def test_the_token_in_a_header_lets_in(gate, value):
    """Programs send it as they send it to receivers."""
    assert gate.admits({"authorization": value}, CALLER)


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "correct-horse", "Basic correct-horse", "Bearer correct-hors", "Bearer correct-horse2"],
)
def test_another_header_does_not(gate, value):
    """Neither a part of the token, nor more than it, nor none."""
    assert not gate.admits({"authorization": value}, CALLER)


def test_the_cookie_of_a_login_lets_in(gate):
    """And holds nothing from which the token could be read."""
    session = gate.session(f" {TOKEN}\n", CALLER)

    assert gate.admits({"cookie": f"{COOKIE}={session}"}, CALLER)
    assert TOKEN not in session
    assert gate.session("wrong", CALLER) is None
    assert gate.session("", CALLER) is None


@pytest.mark.parametrize("other", ["x={\"a\": 1, 'b'}", "=", ";;;", "a b=c", 'y="', f"{COOKIE}=old", f"{COOKIE}"])
def test_cookies_of_other_servers_do_not_lock_out(gate, other):
    """Cookies belong to a host whatever its ports, and what else runs on this machine may set strange ones."""
    session = gate.session(TOKEN, CALLER)

    assert gate.admits({"cookie": f"{other}; {COOKIE}={session}"}, CALLER)
    assert gate.admits({"cookie": f"{COOKIE}={session}; {other}"}, CALLER)
    assert not gate.admits({"cookie": other}, CALLER)


@pytest.mark.parametrize("value", ["", "x", "\xff\xfe", '""', "a" * 64, TOKEN])
def test_another_cookie_does_not(gate, value):
    """Nor does the token itself where the session belongs."""
    assert not gate.admits({"cookie": f"{COOKIE}={value}"}, CALLER)


def test_a_session_ends_with_its_token(gate):
    """Whoever renews the token locks out everybody who knew the old one."""
    session = Gate("older-token", is_local=False).session("older-token", CALLER)

    assert not gate.admits({"cookie": f"{COOKIE}={session}"}, CALLER)


def test_after_too_many_guesses_the_right_token_is_not_looked_at_either():
    """Whoever is told when a guess is right has not been slowed; a session goes on all the same."""
    counted = []
    gate = Gate(TOKEN, is_local=False, refused=counted.append, guesses=Guesses(lambda: 1.0))
    session = gate.session(TOKEN, CALLER)
    for number in range(10):
        assert not gate.admits({"authorization": f"Bearer guess{number}"}, CALLER)

    for guess in ("guess", TOKEN):
        with pytest.raises(TooManyGuessesError):
            gate.admits({"authorization": f"Bearer {guess}"}, CALLER)
        with pytest.raises(TooManyGuessesError):
            gate.session(guess, CALLER)
    assert gate.admits({"cookie": f"{COOKIE}={session}"}, CALLER)
    assert gate.admits({"authorization": f"Bearer {TOKEN}"}, Caller("192.0.2.2"))
    assert counted == ["wrong_token"] * 10 + ["too_many_guesses"] * 4


@pytest.mark.parametrize(
    "headers",
    [{}, {"cookie": f"{COOKIE}=old"}, {"authorization": "Basic dXNlcjpwYXNz"}, {"authorization": "Bearer old-token"}],
)
def test_what_tells_a_guesser_nothing_is_no_guess(headers):
    """An old cookie, a proxy's password, the same old token again: nobody is locked out by what a program repeats."""
    gate = Gate(TOKEN, is_local=False)
    for _ in range(100):
        assert not gate.admits(headers, CALLER)

    assert gate.session(TOKEN, CALLER) is not None


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:13180", "127.0.0.1", "127.0.0.1:13180", "127.8.9.1", "[::1]", "[::1]:13180", "localhost.",
     "console.localhost:80"],
)  # fmt: skip
def test_names_of_this_machine_are_known(host):
    """With a port and without."""
    assert Gate(None, is_local=True).knows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:13180", "127.0.0.1.evil.example", "localhost.evil.example", "notlocalhost",
        "0.0.0.0", "10.0.0.1", "[::]", "[::1", "::1", "[fe80::1%25lo]", "localhost@evil.example", "evil@localhost",
        "localhost/x", "localhost?x", "localhost:port", "localhost:", "localhost:1:2", "localhost localhost",
        "localhost\\evil.example", "127.0.0.1,evil.example", "\u2488localhost", "localhost\x00", "x" * 60_000,
    ],
)  # fmt: skip
def test_other_names_are_not(host):
    """A page of another site whose name was made to lead to this machine must read nothing (DNS rebinding)."""
    assert not Gate(None, is_local=True).knows_host(host)


def test_with_a_token_any_name_will_do():
    """A cookie goes to the name that it was given under alone, so behind a proxy the name is the proxy's."""
    assert Gate(TOKEN, is_local=True).knows_host("console.example")
    assert Gate(None, is_local=False).knows_host("console.example")


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/", "/"),
        ("/model?name=a%20b&version=1", "/model?name=a%20b&version=1"),
        ("/alerts?range=7d", "/alerts?range=7d"),
        ("/caf\xe9", "/caf%C3%A9"),
    ],
)
def test_a_login_leads_to_the_page_that_was_wanted(wanted, path):
    """With all of its parameters."""
    assert local_path(wanted) == path


@pytest.mark.parametrize(
    "wanted",
    [
        "", "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "javascript:alert(1)", "data:text/html,x", "evil.example", " //evil.example", "/\t/evil.example",
        "/\n/evil.example", "//[", "http://[::1", "//\u2488.example", "?x", "#x",
    ],
)  # fmt: skip
def test_a_login_never_leads_away(wanted):
    """Whatever somebody put into the link to it."""
    assert local_path(wanted) == "/"


@pytest.mark.parametrize("wanted", ["/a\r\nset-cookie: x=1", "/\x00", "/a b", '/"><script>', "/\u202e"])
def test_where_a_login_leads_is_one_line_of_a_header(wanted):
    """Nothing in it begins another header, or HTML."""
    found = local_path(wanted)

    assert found.isascii()
    assert found.isprintable()
    assert not set(found) & set(' "<>\\')
