"""Where traces go, and of how many requests: one frozen value."""

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_PATH = "/v1/traces"  # OTLP 1.x, "OTLP/HTTP Request": the default path of traces


class TraceSettings(BaseModel):
    """The receiver of traces, and the share of requests that are recorded.

    >>> TraceSettings(url="http://127.0.0.1:4318").url
    'http://127.0.0.1:4318/v1/traces'
    """

    # What is wrong with a URL is said without the URL: it may have a password in it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(description="of an OTLP/HTTP receiver; without a path, /v1/traces is added")
    share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="of the requests that name no trace; one that names a trace is recorded where its sender does",
    )
    send_seconds: float = Field(
        default=1.0, gt=0, le=3600, allow_inf_nan=False, description="between two sendings of what has come together"
    )
    most_waiting: int = Field(
        default=4096, ge=1, le=1_000_000, description="spans that wait to be sent; one more is dropped, and counted"
    )

    @field_validator("url")
    @classmethod
    def _is_a_receiver(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            port_is_one = parts.port is None or parts.port > 0
        except ValueError:
            port_is_one = False
        if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_one:
            raise ValueError("traces go to http://host:port or https://host:port, with or without a path")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                "the URL for traces has no user, query or fragment in it; a key goes into OTEL_EXPORTER_OTLP_HEADERS"
            )
        return parts._replace(path=_PATH).geturl() if parts.path in {"", "/"} else url
