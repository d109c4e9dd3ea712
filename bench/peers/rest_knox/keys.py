"""Makes tokens, each for a user of its own: more tokens of one user would cost more."""

from django.contrib.auth.models import User
from knox.models import AuthToken


def make(count: int) -> list[str]:
    """Return so many `Authorization` fields, each of a token of its own."""
    users = User.objects.bulk_create(User(username=f"user {number}") for number in range(count))
    return [f"Token {AuthToken.objects.create(user)[1]}" for user in users]
