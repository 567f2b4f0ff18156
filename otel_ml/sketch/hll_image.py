"""Reading and writing the binary image of a DataSketches HLL_8 sketch of 2^11 registers, without the library.

The library's reader trusts counts and array sizes and crashes on mutated images; see kll_image.py. Small sketches are
images of coupons (26 bits of hash beside the 6 bits of a register's value), larger ones of the registers themselves.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from otel_ml.errors import CorruptSketchError

LG_K: Final = 11
REGISTERS: Final = 1 << LG_K
MAX_VALUE: Final = 63

_FAMILY: Final = 7
_LIST, _SET, _HLL = 0, 1, 2
_HLL_8: Final = 2
_EMPTY, _COMPACT, _OUT_OF_ORDER, _STALE_SUMS = 4, 8, 16, 32
_PREAMBLES: Final = {_LIST: 2, _SET: 3, _HLL: 10}
# A set grows by doubling until its coupons would take more room than the registers.
_MIN_LG_ARRAY, _MAX_LG_ARRAY = 3, LG_K
# preamble ints, serial version, family, lg k, lg array, flags, list count or lowest register, mode
_PREFIX: Final = struct.Struct("<8B")
# the estimator's running value, Σ2^-value of the registers below 32 and of the others, empty registers, exceptions
_HLL_BODY: Final = struct.Struct("<dddII")
_REGISTERS_AT: Final = _PREFIX.size + _HLL_BODY.size

RegisterArray = npt.NDArray[np.uint8]


def parse(image: bytes) -> RegisterArray:
    """The registers an image stands for, shape (2048,), writable.

    Raises:
        CorruptSketchError: The image contradicts itself, or is of another HLL than ours.
    """
    size = len(image)
    if size < _PREFIX.size:
        raise CorruptSketchError(f"HLL image: {size} bytes (at least {_PREFIX.size})")
    preamble, version, family, lg_k, lg_array, flags, small, mode_byte = _PREFIX.unpack_from(image)
    mode, target = mode_byte & 3, mode_byte >> 2
    if version != 1 or family != _FAMILY or _PREAMBLES.get(mode) != preamble:
        raise CorruptSketchError(f"HLL image: preamble {preamble}, version {version}, family {family}, mode {mode}")
    if lg_k != LG_K or target != _HLL_8:
        raise CorruptSketchError(f"HLL image: lg_k={lg_k}, type {target} (lg_k={LG_K}, type {_HLL_8}: HLL_8)")
    if flags & ~(_EMPTY | _COMPACT | _OUT_OF_ORDER | _STALE_SUMS):
        raise CorruptSketchError(f"HLL image: unknown flags {flags:#x}")
    if mode == _HLL:
        return _parse_registers(image, flags, small)
    if mode == _LIST:
        start, count = _PREFIX.size, small
    else:
        start = _PREFIX.size + 4
        if size < start:
            raise CorruptSketchError(f"HLL image: {size} bytes, cut off in the header ({start})")
        (count,) = struct.unpack_from("<I", image, _PREFIX.size)
    if bool(flags & _EMPTY) != (count == 0):
        raise CorruptSketchError(f"HLL image: {count} coupons contradict the flags {flags:#x}")
    if not flags & _COMPACT and not _MIN_LG_ARRAY <= lg_array <= _MAX_LG_ARRAY:
        raise CorruptSketchError(f"HLL image: an array of 2^{lg_array} coupons")
    places = count if flags & _COMPACT else 1 << lg_array
    if count > places or count > REGISTERS or size != start + 4 * places:
        raise CorruptSketchError(f"HLL image: {size} bytes do not hold {count} coupons in {places} places")
    return _registers_of(np.frombuffer(image, "<u4", places, start), count)


def _registers_of(coupons: npt.NDArray[np.uint32], count: int) -> RegisterArray:
    registers = np.zeros(REGISTERS, np.uint8)
    coupons = np.sort(coupons)[len(coupons) - count :]  # unused places hold 0
    values = coupons >> 26
    if count and (coupons[0] == 0 or not values.all() or (coupons[1:] == coupons[:-1]).any()):
        raise CorruptSketchError(f"HLL image: its coupons are not {count} different ones with a value")
    # A value is the highest bits of its coupon: of several for one register the greatest comes last, and stays.
    registers[coupons & (REGISTERS - 1)] = values
    return registers


def _parse_registers(image: bytes, flags: int, lowest: int) -> RegisterArray:
    size = len(image)
    if size != _REGISTERS_AT + REGISTERS or flags & _EMPTY:
        raise CorruptSketchError(f"HLL image: {size} bytes, flags {flags:#x} ({_REGISTERS_AT + REGISTERS} bytes)")
    _, _, _, empty, exceptions = _HLL_BODY.unpack_from(image, _PREFIX.size)
    registers: RegisterArray = np.frombuffer(image, np.uint8, REGISTERS, _REGISTERS_AT).copy()
    if registers.max() > MAX_VALUE or lowest != 0 or exceptions != 0:
        raise CorruptSketchError(f"HLL image: registers are not in [0, {MAX_VALUE}] or are offset")
    zeros = REGISTERS - int(np.count_nonzero(registers))
    if zeros == REGISTERS or (empty != zeros and not flags & _STALE_SUMS):
        raise CorruptSketchError(f"HLL image: {zeros} registers are empty, said to be {empty}")
    return registers


def write(registers: RegisterArray) -> bytes:
    """An image the library reads, always of registers unless there is nothing in them.

    It is flagged out of order: the running (HIP) estimate, which needs the order of arrival, does not survive a merge.
    """
    if not registers.any():
        return _PREFIX.pack(2, 1, _FAMILY, LG_K, _MIN_LG_ARRAY, _EMPTY | _COMPACT, 0, _HLL_8 << 2 | _LIST)
    shares = np.exp2(-registers.astype(np.float64))
    is_low = registers < 32
    return b"".join(
        (
            _PREFIX.pack(10, 1, _FAMILY, LG_K, 0, _COMPACT | _OUT_OF_ORDER, 0, _HLL_8 << 2 | _HLL),
            _HLL_BODY.pack(0.0, shares[is_low].sum(), shares[~is_low].sum(), int(np.count_nonzero(registers == 0)), 0),
            registers.tobytes(),
        )
    )
