"""Makes keys as the user guide does."""

from rest_framework_api_key.models import APIKey


def make(count: int) -> list[str]:
    """Return so many `Authorization` fields, each of a key of its own."""
    return [f"Api-Key {APIKey.objects.create_key(name=f'key {number}')[1]}" for number in range(count)]
