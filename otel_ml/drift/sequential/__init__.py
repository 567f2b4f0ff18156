"""Watching window after window without being fooled by the number of windows.

A test that is right in 99 of 100 windows cries wolf several times a day. Three ways of counting the windows in: online
control of the false discovery rate over all columns of a model, for drift that shows within a window; an e-detector
and a CUSUM of one column, for drift that is too small, or comes too slowly, to show within one.
"""

from otel_ml.drift.sequential.cusum import Cusum
from otel_ml.drift.sequential.e_detector import EDetector
from otel_ml.drift.sequential.online_fdr import OnlineFdr, OnlineVerdict
from otel_ml.drift.sequential.verdict import SequentialVerdict

__all__ = ["Cusum", "EDetector", "OnlineFdr", "OnlineVerdict", "SequentialVerdict"]
