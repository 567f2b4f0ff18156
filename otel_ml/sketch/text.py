"""Strings that every wire can carry."""

from __future__ import annotations


def bounded(text: str, length: int) -> str:
    """`text` cut to `length` characters, with what UTF-8 cannot encode (lone surrogates) written as escapes."""
    if len(text) > length:
        text = text[:length]
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()[:length]
    return text
