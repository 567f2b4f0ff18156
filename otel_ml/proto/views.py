"""Other ways to read the bytes of a protobuf message, for those who want only some of it, or want it in another shape.

On the wire a message is a row of bytes, a repeated field is its elements one after the other, and a message twice is
both merged. So where a schema has an inner message, a view may have bytes, which are found but not read; and where it
has one number, a view may have a column of numbers, which reads many messages that were joined to one.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

_SCALARS: Final = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}


def views(package: str, messages: Mapping[str, Mapping[str, tuple[int, str]]]) -> Mapping[str, Any]:
    """Message classes by name, in a pool of their own. Every field is repeated; what is not named is kept as unknown.

    Args:
        package: In the full names of the messages.
        messages: By name, and in each by field: its number, and "bytes", "double", "uint64" or one of the messages.
    """
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            added = message.field.add(name=field, number=number, label=FieldDescriptorProto.LABEL_REPEATED)
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"
    pool = _pool(file)
    return {name: _class(pool, f"{package}.{name}") for name in messages}


def with_bytes(source: FileDescriptor, package: str, name: str, fields: Container[tuple[str, str]]) -> Any:
    """The class of a message as its schema has it, but for some fields of messages, which are bytes.

    Args:
        source: Where the message is.
        package: In place of its own.
        name: Of the message.
        fields: These, each after the name of the message that has it.
    """
    file = FileDescriptorProto()
    source.CopyToProto(file)
    old, file.package, file.name = f".{file.package}.", package, f"{package}.proto"
    file.ClearField("options")
    for message in file.message_type:
        for declared in (*message.field, *(inner for nested in message.nested_type for inner in nested.field)):
            if declared.type_name:
                declared.type_name = declared.type_name.replace(old, f".{package}.", 1)
            if (message.name, declared.name) in fields:
                declared.type = FieldDescriptorProto.TYPE_BYTES
                declared.ClearField("type_name")
    return _class(_pool(file), f"{package}.{name}")


def _pool(file: FileDescriptorProto) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _class(pool: descriptor_pool.DescriptorPool, name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
