"""The admin's login: who guesses passwords has to wait."""

from typing import Any, Final

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm

from apiauth.core import clock
from apiauth.core.errors import Invalid
from apiauth.core.limits import LimitRule, Unit
from apiauth.services import host_limits
from apiauth.verify.addresses import parse_address
from apiauth.verify.limiter import ADMITTED, Claim, identity_of

ATTEMPTS: Final = LimitRule(id="logins", unit=Unit.MINUTE, duration=5, max_requests=10)


class StaffLoginForm(AdminAuthenticationForm):
    """Django's form, with so many wrong passwords from one address, or one network of IPv6, in five minutes."""

    def clean(self) -> dict[str, Any]:
        claim, now_ms = Claim(ATTEMPTS, identity_of(ATTEMPTS, _group(self.request))), clock.now_ms()
        limiter = host_limits.limiter()
        denied, _ = limiter.take([claim], now_ms)
        if denied != ADMITTED:
            minutes = -(-ATTEMPTS.seconds_left(now_ms) // 60)
            raise forms.ValidationError(
                f"Too many wrong passwords came from your address. Try again in {minutes} minute{'s' * (minutes > 1)}.",
                code="throttled",
            )
        cleaned: dict[str, Any] = super().clean()
        limiter.give_back([claim], now_ms)  # it was right
        return cleaned


def _group(request: Any) -> str:
    try:
        return parse_address(request.META.get("REMOTE_ADDR", "")).group
    except Invalid:  # a socket in the file system: then they count together
        return ""
