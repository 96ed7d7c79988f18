"""The one error of this library."""


class ModelError(ValueError):
    """A model or a request that cannot be used; the text says what, why and what to do."""
