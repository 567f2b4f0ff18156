"""The latest entries are found by position, whatever was dropped."""

from hypothesis import given
from hypothesis import strategies as st

from collector_processor.component import Entry, Signal, Stored
from collector_processor.store.log.tail import Tail

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 50)),
        st.tuples(st.just("drop"), st.integers(0, 400)),
        st.tuples(st.just("shrink"), st.integers(0, 200)),
    ),
    max_size=60,
)


@given(steps, st.integers(0, 600), st.integers(1, 200))
def test_it_holds_what_a_list_would(some, position, limit):
    """Entries appended and not dropped, in order, as many as asked for."""
    tail, expected, end = Tail(0), [], 0
    for what, number in some:
        if what == "append":
            expected.append(Stored(end, end + number, Entry(Signal.LOGS, bytes(number), 1)))
            tail.append(expected[-1])
            end += number
        elif what == "drop":
            dropped = [one for one in expected if one.position < number]
            expected = expected[len(dropped) :]
            assert tail.drop_before(number) == dropped
        else:
            tail.shrink_to(number)
            while sum(one.end - one.position for one in expected) > number:
                del expected[0]

    assert tail.size == sum(one.end - one.position for one in expected)
    assert tail.begin == (expected[0].position if expected else end)
    assert tail.before(position) == [one for one in expected if one.position < position]
    found = tail.read(position, limit)
    behind = [one for one in expected if one.position >= position]
    assert found == behind[: len(found)]
    assert len(found) == 1 or sum(one.end - one.position for one in found) <= limit
    assert bool(found) == bool(behind)
