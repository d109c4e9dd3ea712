"""Tells most digests that no key has from the rest, in a few bytes a key: a Bloom filter.

A flood of unknown keys then costs neither queries nor threads that wait for one. Digests are
keyed hashes: their own bytes are as good as any other hash functions.
"""

BYTES_A_KEY = 2
LEAST_BYTES = 2**16


class Presence:
    """Digests that were added, and one in two hundred of the others. Beyond its capacity it lets more through."""

    def __init__(self, capacity: int) -> None:
        size = 1 << (max(capacity * BYTES_A_KEY, LEAST_BYTES) - 1).bit_length()
        self._bits = bytearray(size)
        self._mask = size * 8 - 1

    def add(self, digest: bytes) -> None:
        """Note that a key has this digest."""
        for place in self._places(digest):
            self._bits[place >> 3] |= 1 << (place & 7)

    def may_have(self, digest: bytes) -> bool:
        """Tell whether a key may have this digest; False is certain."""
        return all(self._bits[place >> 3] & (1 << (place & 7)) for place in self._places(digest))

    def _places(self, digest: bytes) -> tuple[int, int, int]:
        number = int.from_bytes(digest)
        mask = self._mask
        return number & mask, (number >> 64) & mask, (number >> 128) & mask
