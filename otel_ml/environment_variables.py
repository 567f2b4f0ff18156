"""Names of the environment variables, and nothing else.

`opentelemetry-instrument` makes a command-line option of every OTEL_* name in this module; a name borrowed from
another package would appear twice and break its command line.
"""

from __future__ import annotations

OTEL_PYTHON_ML_ENABLED = "OTEL_PYTHON_ML_ENABLED"
"""
.. envvar:: OTEL_PYTHON_ML_ENABLED

Whether anything is recorded at all. Default: true
"""

OTEL_PYTHON_ML_MODEL_NAME = "OTEL_PYTHON_ML_MODEL_NAME"
"""
.. envvar:: OTEL_PYTHON_ML_MODEL_NAME

Name under which a model is reported that was given no other.
"""

OTEL_PYTHON_ML_MODEL_VERSION = "OTEL_PYTHON_ML_MODEL_VERSION"
"""
.. envvar:: OTEL_PYTHON_ML_MODEL_VERSION

Version that goes with it.
"""

OTEL_PYTHON_ML_BASELINE = "OTEL_PYTHON_ML_BASELINE"
"""
.. envvar:: OTEL_PYTHON_ML_BASELINE

Baseline files, separated like PATH. Each pins the columns of the model it names.
"""

OTEL_PYTHON_ML_EXPORT_INTERVAL = "OTEL_PYTHON_ML_EXPORT_INTERVAL"
"""
.. envvar:: OTEL_PYTHON_ML_EXPORT_INTERVAL

Milliseconds between two snapshots, aligned to the wall clock. Default: 60000
"""

OTEL_PYTHON_ML_CAPTURE_EVENTS = "OTEL_PYTHON_ML_CAPTURE_EVENTS"
"""
.. envvar:: OTEL_PYTHON_ML_CAPTURE_EVENTS

"events" sends each prediction with its feature values as a log record, so that raw values leave the process; "none"
sends summaries only. Default: none
"""

OTEL_PYTHON_ML_SPANS = "OTEL_PYTHON_ML_SPANS"
"""
.. envvar:: OTEL_PYTHON_ML_SPANS

Whether each call of a model gets a span. Default: true
"""

OTEL_PYTHON_ML_QUEUE_SIZE = "OTEL_PYTHON_ML_QUEUE_SIZE"
"""
.. envvar:: OTEL_PYTHON_ML_QUEUE_SIZE

Calls that may wait to be summarised; those beyond are let go and counted. Default: 10000
"""

OTEL_PYTHON_ML_MAX_FEATURES = "OTEL_PYTHON_ML_MAX_FEATURES"
"""
.. envvar:: OTEL_PYTHON_ML_MAX_FEATURES

Columns that are summarised per model; rows with more are counted. Default: 1000
"""

OTEL_PYTHON_ML_FEATURES = "OTEL_PYTHON_ML_FEATURES"
"""
.. envvar:: OTEL_PYTHON_ML_FEATURES

Comma-separated names or patterns (device_*) of columns of the input that may be summarised. Default: all
"""

OTEL_PYTHON_ML_EXCLUDE_FEATURES = "OTEL_PYTHON_ML_EXCLUDE_FEATURES"
"""
.. envvar:: OTEL_PYTHON_ML_EXCLUDE_FEATURES

Comma-separated names or patterns of columns that are not summarised.
"""

OTEL_PYTHON_ML_HASH_FEATURES = "OTEL_PYTHON_ML_HASH_FEATURES"
"""
.. envvar:: OTEL_PYTHON_ML_HASH_FEATURES

Comma-separated names or patterns of columns whose categories leave as hashes.
"""

OTEL_PYTHON_ML_HASH_KEY = "OTEL_PYTHON_ML_HASH_KEY"
"""
.. envvar:: OTEL_PYTHON_ML_HASH_KEY

Secret of those hashes; the same for all replicas, and for building the baseline.
"""

OTEL_PYTHON_ML_MIN_CATEGORY_COUNT = "OTEL_PYTHON_ML_MIN_CATEGORY_COUNT"
"""
.. envvar:: OTEL_PYTHON_ML_MIN_CATEGORY_COUNT

A category leaves under its name once a process has seen it so often, or at once if it is in the baseline or a class of
the model; 1 names all. Default: 10
"""

OTEL_PYTHON_ML_SAMPLE_VALUES = "OTEL_PYTHON_ML_SAMPLE_VALUES"
"""
.. envvar:: OTEL_PYTHON_ML_SAMPLE_VALUES

Whether sampled, exact and extreme numbers may leave within summaries of columns that no baseline cuts into bins.
Default: true
"""

OTEL_PYTHON_ML_TEXT_VOCABULARY = "OTEL_PYTHON_ML_TEXT_VOCABULARY"
"""
.. envvar:: OTEL_PYTHON_ML_TEXT_VOCABULARY

Whether counts of hashed words of texts may leave, 256 for each column and none for a single text. Default: true
"""

OTEL_PYTHON_ML_SAMPLE_ROWS = "OTEL_PYTHON_ML_SAMPLE_ROWS"
"""
.. envvar:: OTEL_PYTHON_ML_SAMPLE_ROWS

Rows of each model and export interval that are sent as they are, raw values and all, at most 2000; without
OTEL_PYTHON_ML_SAMPLE_VALUES none are. Default: 0
"""

OTEL_PYTHON_ML_CORRELATIONS = "OTEL_PYTHON_ML_CORRELATIONS"
"""
.. envvar:: OTEL_PYTHON_ML_CORRELATIONS

Whether moments of the numeric features together are sent, where a baseline has them. Default: true
"""

OTEL_PYTHON_ML_PREDICTION_ID_HEADER = "OTEL_PYTHON_ML_PREDICTION_ID_HEADER"
"""
.. envvar:: OTEL_PYTHON_ML_PREDICTION_ID_HEADER

Header of a response that holds the id of its prediction; "none" for no such header. Default: x-prediction-id
"""

OTEL_PYTHON_ML_EXCLUDED_URLS = "OTEL_PYTHON_ML_EXCLUDED_URLS"
"""
.. envvar:: OTEL_PYTHON_ML_EXCLUDED_URLS

Comma-separated regular expressions of URLs whose requests are not recorded.
"""
