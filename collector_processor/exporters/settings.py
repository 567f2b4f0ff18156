"""Settings of exporters, as a Collector writes them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from collector_processor.settings import Duration, Endpoint, PositiveDuration, Settings


class BatchSettings(Settings):
    """How requests are joined.

    Attributes:
        max_size: Bytes of a request made of several. Receivers take 4 MiB by default. A larger one goes alone.
        linger: How long to wait for more when there is little to send; under load batches form by themselves.
    """

    max_size: int = Field(default=3_500_000, ge=1)
    linger: Duration = 0.0


class QueueSettings(Settings):
    """How the log is read.

    Attributes:
        num_consumers: Batches on their way at once.
    """

    num_consumers: int = Field(default=4, ge=1, le=64)
    batch: BatchSettings = BatchSettings()

    @model_validator(mode="before")
    @classmethod
    def _has_no_size(cls, raw: Any) -> Any:
        sizes = [name for name in ("queue_size", "queue_size_mib") if isinstance(raw, dict) and name in raw]
        if sizes:
            raise ValueError(f"{sizes[0]!r} is no setting: the log is the queue (store::log::max_size_mib bounds it)")
        return raw


class RetrySettings(Settings):
    """When to send again what a backend did not take.

    Attributes:
        enabled: Without, what was not taken at the first attempt is dropped.
        initial_interval: First wait; each further one is twice as long.
        max_interval: Longest wait.
        max_elapsed_time: Give a request up after this long; 0 never does.
    """

    enabled: bool = True
    initial_interval: PositiveDuration = 1.0
    max_interval: PositiveDuration = 30.0
    max_elapsed_time: Duration = 0.0


class TlsSettings(Settings):
    """Whether the connection is encrypted, and who we believe and are.

    Attributes:
        insecure: Plain text, unless the endpoint begins with https://.
        ca_file: PEM of whom to trust; absent: whom the system trusts.
        cert_file: PEM of our own certificate, with the chain, for backends that ask for one.
        key_file: PEM of its key, not encrypted.
    """

    insecure: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def names_files(self) -> bool:
        """Whether anything is to be read."""
        return bool(self.ca_file or self.cert_file or self.key_file)

    @model_validator(mode="after")
    def _loads(self) -> TlsSettings:
        if (self.cert_file is None) != (self.key_file is None):
            missing, given = ("key_file", "cert_file") if self.key_file is None else ("cert_file", "key_file")
            raise ValueError(f"{given} is of no use without {missing} (both, or neither)")
        if self.insecure and self.names_files:
            raise ValueError("insecure is true, so no certificate would be used (insecure: false, or no files)")
        if self.names_files:
            self.context()
        return self

    def context(self) -> ssl.SSLContext:
        """A client's context with these files.

        Raises:
            ValueError: One cannot be read, or does not hold what it should.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise ValueError(
                f"ca_file {self.ca_file!r}: {error.strerror or error} (certificates in a PEM file)"
            ) from error
        if self.cert_file is not None and self.key_file is not None:
            for name, path in (("cert_file", self.cert_file), ("key_file", self.key_file)):
                try:
                    Path(path).read_bytes()
                except OSError as error:
                    raise ValueError(f"{name} {path!r}: {error.strerror or error} (a PEM file)") from error
            try:
                # An empty password: an encrypted key is an error, not a question on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
            except OSError as error:
                raise ValueError(
                    f"cert_file {self.cert_file!r}, key_file {self.key_file!r}: {error.strerror or error}"
                    " (PEM files of a certificate and of its key, not encrypted)"
                ) from error
        return context


class KeepaliveSettings(Settings):
    """How to notice that a connection is dead.

    Attributes:
        time: Ping after so long without an answer. Collectors cut clients off that ping more often than every 5m.
        timeout: Give the connection up after so long without any sign from the other side.
    """

    time: PositiveDuration = 300.0
    timeout: PositiveDuration = 20.0


class OtlpExporterSettings(Settings):
    """An exporter of type `otlp_grpc` or `otlp_http`.

    Attributes:
        endpoint: The backend.
        headers: Sent with each request.
        compression: "none" by default: compressing costs more here than it saves on the wire.
        timeout: Of one attempt.
    """

    endpoint: Endpoint
    tls: TlsSettings = TlsSettings()
    headers: Mapping[str, str] = Field(default_factory=dict)
    compression: Literal["none", "gzip"] = "none"
    timeout: PositiveDuration = 10.0
    sending_queue: QueueSettings = QueueSettings()
    retry_on_failure: RetrySettings = RetrySettings()

    @model_validator(mode="after")
    def _uses_its_files(self) -> OtlpExporterSettings:
        if self.endpoint.scheme == "http" and self.tls.names_files:
            raise ValueError(
                f"endpoint 'http://{self.endpoint.address}' is plain text, so no certificate would be used"
                f" (https://{self.endpoint.address}, or no files under tls)"
            )
        return self


class OtlpGrpcSettings(OtlpExporterSettings):
    """Settings of an `otlp_grpc` exporter."""

    keepalive: KeepaliveSettings = KeepaliveSettings()

    @model_validator(mode="after")
    def _has_no_path(self) -> OtlpGrpcSettings:
        if self.endpoint.path:
            raise ValueError(
                f"endpoint {self.endpoint.path!r}: gRPC knows no path (an `otlp_http` exporter would send there)"
            )
        return self


class OtlpHttpSettings(OtlpExporterSettings):
    """Settings of an `otlp_http` exporter; /v1/<signal> is added to the endpoint."""

    @model_validator(mode="after")
    def _has_scheme(self) -> OtlpHttpSettings:
        if self.endpoint.scheme is None:
            raise ValueError(
                f"endpoint '{self.endpoint.address}' lacks a scheme (http://{self.endpoint.address} or https://…)"
            )
        return self
