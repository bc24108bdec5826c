"""The two seams that have more than one implementation: where turns are kept, and who answers them.

`store` is the first, put together from parts that adapters are divided by as well: `keys`, `sessions`, `search`,
`turns`, `ledger` and `upkeep` each hold a part of what a store does, and the values that it is asked with or answers;
`page` is what every list comes in. `provider` is the second.
"""

from gateway.ports.page import Page
from gateway.ports.provider import Provider, ProviderCall, ProviderReply, ProviderStream
from gateway.ports.sessions import Appending
from gateway.ports.store import Store
from gateway.ports.turns import ClosedTurn, Hold, Locked, OpenedTurn, TurnOpening
from gateway.ports.upkeep import Cleaned, Cleaning

__all__ = [
    "Appending",
    "Cleaned",
    "Cleaning",
    "ClosedTurn",
    "Hold",
    "Locked",
    "OpenedTurn",
    "Page",
    "Provider",
    "ProviderCall",
    "ProviderReply",
    "ProviderStream",
    "Store",
    "TurnOpening",
]
