"""Settings as a gateway.yaml would hold them, less their secrets.

Invariant: of a SecretStr nothing is shown, and of a text that may be a URL only what `masked` leaves of it.
"""

from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from gateway.addresses import MASK, masked


def without_secrets(settings: BaseModel) -> dict[str, Any]:
    """The settings by their names in the file, in the order of settings/whole.py. Loaded again, they are equal.

    Unless there was a secret: MASK, which stands in its place, is refused.
    """
    content: dict[str, Any] = _masked(settings.model_dump(by_alias=True))
    return content


def as_yaml(content: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return text


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    if isinstance(value, frozenset):
        return _masked(sorted(value))
    if isinstance(value, tuple | list):
        return [_masked(item) for item in value]
    if isinstance(value, SecretStr):
        return MASK
    return masked(value) if isinstance(value, str) and "://" in value else value
