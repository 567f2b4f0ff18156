"""What a process that serves models is, for the resource of everything it sends.

OpenTelemetry asks for it where OTEL_EXPERIMENTAL_RESOURCE_DETECTORS names `otel_ml`.
"""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource, ResourceDetector

from otel_ml import semconv
from otel_ml.config import Settings
from otel_ml.recording.packages import packages_digest


class ModelServerResourceDetector(ResourceDetector):
    """Model and version of the settings, and the digest of the installed packages."""

    def detect(self) -> Resource:
        """The attributes that are known."""
        settings = Settings.from_environment()
        attributes = {
            semconv.MODEL_NAME: settings.model_name,
            semconv.MODEL_VERSION: settings.model_version,
            semconv.PACKAGES_DIGEST: packages_digest(),
        }
        return Resource({name: value for name, value in attributes.items() if value})
