"""Icons, times and numbers as the portal writes them."""

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal import times

register = template.Library()


@register.inclusion_tag("portal/_icon.html")
def icon(name: str) -> dict[str, str]:
    """Draw one of the line icons; decoration only, the text beside it says the same."""
    return {"name": name}


@register.simple_tag
def moment(value: datetime | None) -> SafeString | str:
    """Write a point in time in full, UTC."""
    if value is None:
        return ""
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), times.in_full(value))


@register.simple_tag
def ago(value: datetime | None, now: datetime) -> SafeString | str:
    """Write how long ago a point in time was; its date where it is more than two days."""
    if value is None:
        return ""
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), times.ago(value, now))


register.filter("clock", times.clock)
register.filter("day", times.day)
register.filter("exact", times.exact)
register.filter("left", times.left)
register.filter("seconds", times.seconds)
