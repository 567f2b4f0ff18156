"""What is kept where, how much of it, and for how long."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from collector_processor.settings import Duration, PositiveDuration, Settings


class LogSettings(Settings):
    """The write-ahead log: what was acknowledged and is not yet delivered or merged.

    Attributes:
        max_size_mib: On disk (in memory without a directory). What does not fit is refused, and the client keeps it.
        segment_size_mib: Of one file; files are thrown away whole.
        linger: How long to wait for more before writing to disk, while requests come together. Each takes so much
            longer, and fewer trips to the disk serve all of them.
        max_waiting_mib: Requests that wait for the disk together: one that hangs must not fill the memory.
    """

    max_size_mib: int = Field(default=2048, ge=4)
    segment_size_mib: int = Field(default=64, ge=1, le=1024)
    linger: Duration = 0.002
    max_waiting_mib: int = Field(default=128, ge=1)


class DeadLetterSettings(Settings):
    """What no backend took, and snapshots that came too late.

    Attributes:
        max_size_mib: The oldest make room, and are counted as lost.
    """

    max_size_mib: int = Field(default=256, ge=1)


class StoreSettings(Settings):
    """Where state is kept.

    Attributes:
        directory: In memory when absent, so that a restart begins anew, and loses what was not delivered.
        retention: How long windows are kept for people to look at; without a directory at most a day …
        details_retention: … and how long with all that was found out and the shapes of their columns, where no alert
            fired or resolved.
        checkpoint_interval: How often open windows and dedup marks are written.
    """

    directory: str | None = None
    retention: PositiveDuration = 30 * 86_400.0
    details_retention: PositiveDuration = 2 * 86_400.0
    checkpoint_interval: PositiveDuration = 30.0
    log: LogSettings = LogSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()

    @property
    def path(self) -> Path | None:
        """The directory, if there is one."""
        return None if self.directory is None else Path(self.directory)
