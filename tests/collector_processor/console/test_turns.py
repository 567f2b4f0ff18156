"""Those who look take turns."""

import asyncio

import pytest

from collector_processor.console.turns import BusyError, Turns


class Questions:
    """Questions that are answered when the test says so."""

    def __init__(self):
        self.begun, self.answer = 0, asyncio.Event()

    async def ask(self):
        self.begun += 1
        await self.answer.wait()
        return "answer"


async def stays():
    return False


async def left():
    return True


async def asked(turns, questions, count, has_left=stays):
    tasks = [asyncio.create_task(turns.take(questions.ask, has_left=has_left)) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_few_are_answered_at_a_time():
    """The rest wait, and are answered then."""
    turns, questions = Turns(at_a_time=2, waiting=10), Questions()
    tasks = await asked(turns, questions, 5)
    at_first = questions.begun
    questions.answer.set()

    assert at_first == 2
    assert await asyncio.gather(*tasks) == ["answer"] * 5


async def test_one_too_many_is_told_to_come_back():
    """At once; and when others have gone, it is taken."""
    turns, questions = Turns(at_a_time=1, waiting=2), Questions()
    tasks = await asked(turns, questions, 3)

    with pytest.raises(BusyError):
        await turns.take(questions.ask, has_left=stays)
    questions.answer.set()
    await asyncio.gather(*tasks)
    assert await turns.take(questions.ask, has_left=stays) == "answer"


async def test_for_those_who_left_nothing_is_asked():
    """Or whoever opens and closes connections keeps the history busy."""
    turns, questions = Turns(at_a_time=1, waiting=10), Questions()
    (first,) = await asked(turns, questions, 1)
    gone = await asked(turns, questions, 5, left)
    questions.answer.set()

    assert await asyncio.gather(first, *gone) == ["answer", *[None] * 5]
    assert questions.begun == 1


async def test_a_failure_gives_its_turn_back():
    """And a request that is cancelled does, too."""
    turns, questions = Turns(at_a_time=1, waiting=0), Questions()

    async def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await turns.take(fail, has_left=stays)
    (task,) = await asked(turns, questions, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    questions.answer.set()

    assert await turns.take(questions.ask, has_left=stays) == "answer"
