"""There are no keys: the same field is sent, and nobody reads it."""


def make(count: int) -> list[str]:
    """Return so many `Authorization` fields."""
    return [f"Api-Key {number:041}" for number in range(count)]
