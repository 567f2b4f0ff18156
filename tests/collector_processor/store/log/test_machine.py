"""A log against the simplest model of one, over crashes in the middle of a write."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from log_samples import MIB, SMALL, append_all, bytes_in, eventually, numbered, read_all, segments_in

from collector_processor.component import Signal
from collector_processor.store.log import FileLog
from collector_processor.store.log.frames import encode
from collector_processor.store.log.segment import HEADER_BYTES

HOLDERS = ("merging", "exporter")
sizes = st.lists(st.sampled_from([0, 1, 100, 3_000, 70_000, 600_000]), min_size=1, max_size=5)


class LogMachine(RuleBasedStateMachine):
    """Appends, reads, holds, restarts and crashes; the model is a list of what was acknowledged."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.scratch = tempfile.TemporaryDirectory(prefix="log-machine-")
        self.directory = Path(self.scratch.name)
        self.number = 0
        self.kept = []
        self.items = dict.fromkeys(Signal, 0)
        self.held = {}
        self.released = 0

    def run(self, waiting):
        return self.loop.run_until_complete(waiting)

    def teardown(self):
        self.run(self.log.shutdown(10.0))
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.scratch.cleanup()

    @initialize()
    def start(self):
        self.log = FileLog(self.directory, SMALL, HOLDERS)
        self.run(self.log.start())
        # What a process holds is known to that process.
        self.held = {}

    def entries(self, of_sizes):
        for size in of_sizes:
            self.number += 1
            signal = list(Signal)[self.number % 3]
            yield numbered(self.number, size, signal=signal, items=self.number % 5, own=self.number % 7 == 0)

    def keep(self, stored):
        self.kept.append(stored)
        if not stored.entry.own:
            self.items[stored.entry.signal] += stored.entry.items

    @rule(of_sizes=sizes)
    def append(self, of_sizes):
        """Appended at once, as far as there is room for all."""
        entries = list(self.entries(of_sizes))
        end = self.log.end.position
        if self.log.refusal(sum(entry.size for entry in entries) + 1_000) is None:
            ends = self.run(append_all(self.log, entries))
            stored = self.run(read_all(self.log, end))
            assert [one.entry for one in stored] == entries
            assert [one.end for one in stored] == ends
            for one in stored:
                self.keep(one)

    @precondition(lambda self: self.kept)
    @rule(holder=st.sampled_from(HOLDERS), share=st.floats(0, 1))
    def hold(self, holder, share):
        """Some share of what is there is let go."""
        position = self.kept[int(share * (len(self.kept) - 1))].end
        self.log.hold(holder, position)
        self.held[holder] = max(position, self.held.get(holder, 0))

    @precondition(lambda self: self.kept)
    @rule(share=st.floats(0, 1), limit=st.integers(1, 2 * MIB))
    def read(self, share, limit):
        """From anywhere that is not released."""
        one = self.kept[int(share * (len(self.kept) - 1))]
        if one.position >= self.floor():
            found = self.run(self.log.read(one.position, limit))
            assert found == [other for other in self.kept if other.position >= one.position][: len(found)]
            assert found
            assert len(found) == 1 or found[-1].end - one.position <= limit

    @rule()
    def forget_what_is_in_memory(self):
        """As when a reader is far behind."""
        self.log._tail.drop_before(self.log.end.position)

    @rule()
    def release_all(self):
        """Everything is let go; then there is room again for nearly the whole budget."""
        for holder in HOLDERS:
            self.log.hold(holder, self.log.end.position)
            self.held[holder] = self.log.end.position
        self.run(eventually(lambda: self.log.refusal(7 * self.log.budget_bytes // 8) is None))

    @rule()
    def restart(self):
        """An orderly end."""
        self.run(self.log.shutdown(10.0))
        self.start()

    @rule(of_sizes=sizes, share=st.floats(0, 1), how=st.sampled_from(["torn", "zeros", "garbage"]))
    def crash(self, of_sizes, share, how):
        """A batch was being written: some of it arrived, up to some byte, and nobody was told."""
        begin = self.log.end.position
        self.run(self.log.shutdown(10.0))
        buffers, ends, end = [], [], begin
        entries = list(self.entries(of_sizes)) if self.log.size_bytes < 2 * MIB else []
        for entry in entries:
            end = encode(entry, end, buffers)
            ends.append(end)
        batch = b"".join(buffers)
        arrived = int(share * len(batch))
        rest = len(batch) - arrived
        behind = {"torn": b"", "zeros": bytes(rest + 5_000), "garbage": b"\xa5" * rest}[how]
        last = segments_in(self.directory)[-1]
        with last.path.open("r+b") as file:
            file.seek(begin - last.begin.position + HEADER_BYTES)
            file.write(batch[:arrived] + behind)

        self.start()

        written = batch[:arrived] + behind
        whole = [e for e in ends if batch[: e - begin] == written[: e - begin]]
        found = self.run(read_all(self.log, begin))
        assert [one.entry for one in found] == entries[: len(whole)]
        for one in found:
            self.keep(one)

    def floor(self):
        """From where on everything is there: what an earlier process has let go of is gone, whatever is held now."""
        held = min(self.held.values()) if len(self.held) == len(HOLDERS) else self.log.begin.position
        self.released = max(self.released, held)
        return self.released

    @invariant()
    def what_is_held_is_there(self):
        """In order, and nothing that was not acknowledged or written whole."""
        if not hasattr(self, "log"):
            return
        floor = self.floor()
        assert self.log.begin.position <= floor
        assert self.run(read_all(self.log, floor)) == [one for one in self.kept if one.position >= floor]
        assert dict(self.log.end.items) == self.items
        assert self.log.damages.segments == 0
        assert bytes_in(self.directory) <= self.log.budget_bytes


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
