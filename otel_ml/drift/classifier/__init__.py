"""Drift that only whole rows show: a classifier that tries to tell a window's rows from the training data's."""

from otel_ml.drift.classifier.two_sample_test import THRESHOLD, ClassifierResult, classify, require_classifier

__all__ = ["THRESHOLD", "ClassifierResult", "classify", "require_classifier"]
