"""A set of hashes in few bytes, to find what a stream has held before."""

import hashlib
from collections.abc import Iterable

import numpy as np

_FIRST_SLOTS = 1 << 12
_MOST_FULL = 0.75
_GROWTH = 1.5
_MOVED_AT_ONCE = 1 << 16


def hashes_of(texts: Iterable[str]) -> np.ndarray:
    """Returns 64-bit hashes of texts, uint64 `[n]`, none of them 0.

    Two of n different texts have the same hash with a probability of about
    n² / 2^65.
    """
    digests = b"".join(
        hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts
    )
    # 0 marks a free slot below.
    return np.maximum(np.frombuffer(digests, np.uint64), 1)


class SeenHashes:
    """A set of hashes that grows, of 11 to 16 bytes each.

    While it grows the old slots are held too, for 27 bytes at most.
    """

    def __init__(self) -> None:
        self._slots = np.zeros(_FIRST_SLOTS, np.uint64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Add hashes, in order.

        Args:
            hashes: uint64 `[n]`, as `hashes_of` gives them.

        Returns:
            bool `[n]`: whether each is new, neither here nor further ahead
            in `hashes`.
        """
        unique, first = np.unique(hashes, return_index=True)
        self._make_room(len(unique))
        is_new = np.zeros(len(hashes), bool)
        is_new[first] = self._put(unique)
        self._count += int(is_new.sum())
        return is_new

    def _make_room(self, more: int) -> None:
        needed = self._count + more
        if needed <= _MOST_FULL * len(self._slots):
            return
        held = self._slots
        size = max(len(held), int(needed / _MOST_FULL)) * _GROWTH
        self._slots = np.zeros(int(size), np.uint64)
        for start in range(0, len(held), _MOVED_AT_ONCE):
            some = held[start : start + _MOVED_AT_ONCE]
            self._put(some[some != 0])

    def _put(self, unique: np.ndarray) -> np.ndarray:
        """Put hashes in the next free slots, all of them step by step."""
        size = np.uint64(len(self._slots))
        places = unique % size
        is_new = np.zeros(len(unique), bool)
        left = np.arange(len(unique))
        while len(left):
            at = places[left]
            is_free = self._slots[at] == 0
            # Several may want the same slot; the last one to write has it.
            self._slots[at[is_free]] = unique[left[is_free]]
            is_there = self._slots[at] == unique[left]
            is_new[left[is_there & is_free]] = True
            left = left[~is_there]
            places[left] = (places[left] + np.uint64(1)) % size
        return is_new
