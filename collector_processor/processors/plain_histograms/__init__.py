"""Plain OTLP histograms of services without our library: each value counted once, and put into windows."""

from collector_processor.processors.plain_histograms.increments import SECTION, Increments
from collector_processor.processors.plain_histograms.settings import DEFAULT_HISTOGRAMS, HistogramSettings, sources

__all__ = ["DEFAULT_HISTOGRAMS", "SECTION", "HistogramSettings", "Increments", "sources"]
