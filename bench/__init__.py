"""Load tests of the gateway against its peers, run from the repository's root by `make bench`. See README.md here."""


class BenchFailed(Exception):
    """Something went otherwise than a fair measurement needs; the text says what."""
