"""What all sections of gateway.yaml have in common: nothing unknown in them, nothing changes, no masks for secrets."""

from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from gateway.addresses import MASK


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _unmasked(cls, value: Any) -> Any:
        """A mask taken for a secret would be a secret that everybody knows: a pepper that is none, for one."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and MASK in text:
            raise ValueError(f"{MASK} is where `gateway config show` left out a secret: put the secret there")
        return value
