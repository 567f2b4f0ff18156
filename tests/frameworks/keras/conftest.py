"""Keras chooses its backend once per process: these tests run on the one that KERAS_BACKEND names."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
