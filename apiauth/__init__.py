"""Keystead's product: whole without the portal."""
