"""Which keys are in memory: all of them up to a bound; beyond it those in use, and which other digests may be a key's.

Beyond the bound a check that finds its key among the recent ones still costs one dictionary
look-up and notes nothing. There are two generations. A key that is found among the older ones
moves to the recent ones; once these are half of the bound they become the older ones, and what
nobody has asked for in all that time goes.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from apiauth.verify.presence import Presence

if TYPE_CHECKING:
    from apiauth.verify.entries import Key

MOST_ABSENT = 20_000
ABSENT_SECONDS = 60.0


class _Generation:
    """Some keys, by digest and by id."""

    def __init__(self) -> None:
        self.by_digest: dict[bytes, Key] = {}
        self.by_id: dict[int, Key] = {}

    def put(self, key: "Key") -> None:
        known = self.by_id.get(key.id)
        if known is not None and known.digest != key.digest:  # digested anew, under another pepper
            del self.by_digest[known.digest]
        self.by_digest[key.digest] = self.by_id[key.id] = key

    def discard(self, key: "Key") -> None:
        del self.by_digest[key.digest], self.by_id[key.id]


class _Absent:
    """Digests that no key has: a bounded number of them, for a bounded time."""

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._older: set[bytes] = set()
        self._since = time.monotonic()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._recent or digest in self._older

    def add(self, digests: Iterable[bytes]) -> None:
        if len(self._recent) >= MOST_ABSENT // 2:
            self._begin()
        self._recent.update(digests)

    def discard(self, digest: bytes) -> None:
        self._recent.discard(digest)
        self._older.discard(digest)

    def age(self) -> None:
        """Let the older ones go when their time is up."""
        if time.monotonic() - self._since > ABSENT_SECONDS / 2:
            self._begin()

    def _begin(self) -> None:
        self._recent, self._older, self._since = set(), self._recent, time.monotonic()


class ResidentKeys:
    """The keys in memory, at most `most`. One thread takes in rows; checks only move what is there.

    A check and a change that meet on one key could otherwise leave the old row in force, so
    whatever moves or replaces a key holds the lock.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.is_complete = True
        """Whether every key that there is, is here: then a digest that is not found is no key's."""
        self.recent: dict[bytes, Key] = {}
        """What a check reads, without the lock: all keys, or those in use."""
        self._recent = _Generation()
        self._older = _Generation()
        self._leaving: list[_Generation] = []
        self._presence = Presence(0)
        self._absent = _Absent()
        self._lock = threading.Lock()
        self._put_in_force()

    def __len__(self) -> int:
        return len(self._recent.by_id) + len(self._older.by_id)

    def known(self, key_id: int) -> "Key | None":
        """Return the key with this id, where it is in memory."""
        with self._lock:
            return self._recent.by_id.get(key_id) or self._older.by_id.get(key_id)

    def put(self, key: "Key") -> None:
        """Take in a row of the database, read later than every row of this key before."""
        with self._lock:
            if key.id in self._older.by_id:
                self._older.put(key)
            else:
                if key.id not in self._recent.by_id and not (self.is_complete and len(self.recent) < self.most):
                    self._make_room()
                self._recent.put(key)
            if not self.is_complete:
                self._expect(key.digest)  # not before: making room may be when it begins to count

    def expect(self, digest: bytes) -> None:
        """Note that a key has this digest: it may have been made since somebody asked for it in vain."""
        with self._lock:
            if not self.is_complete:
                self._expect(digest)

    def note_absent(self, digests: Iterable[bytes]) -> None:
        """Note that no key has these digests, until a change says otherwise or ABSENT_SECONDS have passed."""
        with self._lock:
            self._absent.add(digest for digest in digests if digest not in self.recent)

    def find(self, asked: Iterable[Sequence[bytes]]) -> tuple[dict[bytes, "Key"], list[bytes]]:
        """Return the keys that are here, and the digests of those that are not.

        Each entry of `asked` is one presented key, by its digest under each pepper. Keys found
        among the older ones become recent.
        """
        found: dict[bytes, Key] = {}
        lacking: list[bytes] = []
        with self._lock:
            for digests in asked:
                keys = [key for digest in digests if (key := self._used(digest)) is not None]
                found.update((key.digest, key) for key in keys)
                if not keys:
                    lacking += digests
        return found, lacking

    def are_absent(self, digests: Iterable[bytes]) -> bool:
        """Tell whether all of these are known to be no key's, as of the last poll."""
        with self._lock:
            return all(digest in self._absent or not self._presence.may_have(digest) for digest in digests)

    def begin_incomplete(self, count: int) -> None:
        """Note that there are more keys than may be here, about `count`; `expect` then has to hear of each."""
        presence = Presence(2 * count)
        for digest in self.recent:
            presence.add(digest)
        self._presence = presence
        self.is_complete = False

    def tidy(self, most: int) -> None:
        """Free so many of the keys that have left: all at once would stop every check for as long as it takes."""
        with self._lock:
            self._absent.age()
        while self._leaving and most > 0:
            leaving = self._leaving[-1]
            while leaving.by_id and most > 0:
                leaving.discard(next(reversed(leaving.by_id.values())))
                most -= 1
            if not leaving.by_id:
                self._leaving.pop()

    def _expect(self, digest: bytes) -> None:
        self._presence.add(digest)
        self._absent.discard(digest)

    def _used(self, digest: bytes) -> "Key | None":
        key = self._older.by_digest.get(digest)
        if key is None:
            return self.recent.get(digest)
        self._older.discard(key)
        self._make_room()
        self._recent.put(key)
        return key

    def _make_room(self) -> None:
        """Make room for one more among the recent keys; called under the lock."""
        if self.is_complete:
            self.begin_incomplete(len(self))
        if len(self._recent.by_id) >= self.most // 2:
            self._leaving.insert(0, self._older)
            self._older, self._recent = self._recent, _Generation()
            self._put_in_force()
        while len(self) >= self.most:
            self._older.discard(next(reversed(self._older.by_id.values())))

    def _put_in_force(self) -> None:
        self.recent = self._recent.by_digest
