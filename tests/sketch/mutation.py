"""Structured mutations of binary images, as a hostile or broken sender would make them."""

import random
import struct

_BYTES = (0, 1, 2, 7, 8, 127, 128, 255)
_WORDS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_LONGS = (0, 1, 1 << 32, 1 << 63, (1 << 64) - 1, 0x7FF8000000000000, 0x7FF0000000000000)


def mutated(rng: random.Random, image: bytes, header: int = 48) -> bytes:
    """The image cut, extended, replaced, or changed in some places, mostly within its header."""
    choice = rng.random()
    if choice < 0.06:
        return rng.randbytes(rng.randrange(200))
    if choice < 0.14:
        return image[: rng.randrange(len(image) + 1)]
    if choice < 0.20:
        return image + rng.randbytes(rng.randrange(1, 64))
    changed = bytearray(image)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        in_header = rng.random() < 0.75
        at = rng.randrange(min(len(changed), header) if in_header else len(changed))
        how = rng.random()
        if how < 0.35:
            changed[at] ^= 1 << rng.randrange(8)
        elif how < 0.6:
            changed[at] = rng.choice(_BYTES) if rng.random() < 0.5 else rng.randrange(256)
        elif how < 0.8 and at + 4 <= len(changed):
            struct.pack_into("<I", changed, at, rng.choice((*_WORDS, rng.getrandbits(32), rng.randrange(5000))))
        elif at + 8 <= len(changed):
            struct.pack_into("<Q", changed, at, rng.choice((*_LONGS, rng.getrandbits(64))))
    return bytes(changed)
