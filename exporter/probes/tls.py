"""TLS of probes: options, contexts that runs share, and what certificates say."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exporter.probes.fields import ConfigFile, Host


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # YAML takes 1.2 for a number


MinVersion = Annotated[Literal["1.0", "1.1", "1.2", "1.3"], BeforeValidator(_version)]


class TlsOptions(BaseModel):
    """How a server proves who it is, and how the probe does."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    verify: bool = Field(True, description="Check the server's certificate and its name.")
    ca_file: ConfigFile | None = Field(
        None, description="Authorities to trust, in PEM, instead of the system's."
    )
    server_name: Host | None = Field(None, description="Name to ask for and to expect, instead of the host.")
    cert_file: ConfigFile | None = Field(None, description="Client certificate and its chain, in PEM.")
    key_file: ConfigFile | None = Field(None, description="Its key, if that is not in cert_file.")
    min_version: MinVersion = Field("1.2", description="Oldest version of TLS that is accepted.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if self.ca_file is not None and not self.verify:
            raise ValueError("ca_file means nothing with verify: false")
        return self
