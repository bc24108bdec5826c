"""An OpenAI-compatible LLM gateway that remembers."""

__version__ = "0.1.0"
