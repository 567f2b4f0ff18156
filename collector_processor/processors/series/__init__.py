"""Window after window: changes that are too small for one, and series that river's detectors watch."""

from collector_processor.processors.series.concept import ConceptAlarm, ConceptWatch
from collector_processor.processors.series.settings import ConceptSettings, SlowDriftSettings
from collector_processor.processors.series.watch import SeriesWatch

__all__ = ["ConceptAlarm", "ConceptSettings", "ConceptWatch", "SeriesWatch", "SlowDriftSettings"]
