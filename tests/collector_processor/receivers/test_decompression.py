"""Decompressing what strangers send."""

import contextlib
import gzip
import os
import zlib

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.errors import UndecodableRequestError
from collector_processor.receivers.decompression import decompress
from collector_processor.receivers.exports import RejectedError, Verdict

PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}
MIB = 1024 * 1024


def bare(body):
    """Deflate without zlib's header, as some clients understand "deflate"."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("size", [0, 1, 1000, MIB - 1, MIB, MIB + 1, 9 * MIB])
async def test_what_was_packed_comes_back(encoding, size):
    """Of any size, up to the limit exactly; one byte more is too much."""
    body = (os.urandom(1000) * (size // 1000 + 1))[:size]

    assert await decompress(encoding, PACK[encoding](body), size) == body
    if size:
        with pytest.raises(RejectedError) as caught:
            await decompress(encoding, PACK[encoding](body), size - 1)
        assert caught.value.verdict is Verdict.TOO_LARGE


async def test_deflate_is_taken_with_and_without_the_header_of_zlib():
    """HTTP says with; clients disagree."""
    body = b"hello" * 1000

    assert await decompress("deflate", bare(body), MIB) == body


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize(
    "change", [lambda body: body[:-5], lambda _: b"", lambda body: body + b"more", lambda _: b"\x0ano"]
)
async def test_what_is_cut_off_goes_on_or_is_something_else_is_undecodable(encoding, change):
    """Sending it again would not help."""
    with pytest.raises(UndecodableRequestError, match=f"not valid {encoding}"):
        await decompress(encoding, change(PACK[encoding](os.urandom(3000))), MIB)


@pytest.mark.parametrize("encoding", PACK)
async def test_many_frames_in_a_row_are_not_followed(encoding):
    """Each would cost a copy of the rest: millions of empty ones, hours."""
    with pytest.raises(UndecodableRequestError, match="after its end"):
        await decompress(encoding, PACK[encoding](b"") * 100_000, MIB)


async def test_a_window_larger_than_decoders_have_to_have_is_not_made():
    """It is memory that a few bytes would claim."""
    parameter = zstd.CompressionParameter
    packed = zstd.compress(os.urandom(40 * MIB), options={parameter.window_log: 27, parameter.compression_level: 1})

    with pytest.raises(UndecodableRequestError):
        await decompress("zstd", packed, 64 * MIB)


async def test_an_unknown_encoding_is_unsupported():
    """And what would be supported is told."""
    with pytest.raises(RejectedError, match=r"'br' is not supported.*gzip, deflate, zstd, identity") as caught:
        await decompress("br", b"", MIB)
    assert caught.value.verdict is Verdict.UNSUPPORTED


@given(encoding=st.sampled_from([*PACK, "identity"]), noise=st.binary(max_size=3000))
async def test_noise_is_refused_or_stays_below_the_limit(encoding, noise):
    """Nothing else can come of it."""
    with contextlib.suppress(UndecodableRequestError, RejectedError):
        assert len(await decompress(encoding, noise, 2000)) <= 2000
