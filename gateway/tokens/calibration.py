"""How far our estimates are from what providers report, learnt model by model.

Models that are not OpenAI's are counted with an encoding that is not theirs. The ratio of the prompt tokens that a
provider reported to those that were estimated corrects the next estimate.
"""

from collections import OrderedDict

_MAX_MODELS = 1024
_LOWEST, _HIGHEST = 0.5, 3.0
_ABSURD = 20.0
"""A report that is this many times off says more about the provider's accounting than about its tokenizer."""
_WEIGHT = 0.25
"""How far one full-size observation moves the average."""
_FULL_SIZE = 1_000
"""Estimated tokens from which an observation has its full weight. In a shorter prompt the fixed cost of the
provider's template outweighs the text, and would distort the ratio for long ones."""


class Calibration:
    """Ratios of reported to estimated prompt tokens: exponential moving averages, between 0.5 and 3.0.

    Holds the 1024 models used last. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._ratios: OrderedDict[str, float] = OrderedDict()

    def ratio(self, model: str) -> float:
        """What to multiply an estimate with; 1.0 for a model of which nothing is known."""
        if model not in self._ratios:
            return 1.0
        self._ratios.move_to_end(model)
        return self._ratios[model]

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """Take in one call's prompt tokens: `estimated` as counted, before correction, and `reported` as billed."""
        if estimated <= 0 or reported <= 0 or not 1 / _ABSURD <= reported / estimated <= _ABSURD:
            return
        weight = _WEIGHT * min(1.0, estimated / _FULL_SIZE)
        old = self.ratio(model)
        new = old + weight * (reported / estimated - old)
        self._ratios[model] = min(_HIGHEST, max(_LOWEST, new))
        self._ratios.move_to_end(model)
        if len(self._ratios) > _MAX_MODELS:
            self._ratios.popitem(last=False)
