import re
from pathlib import Path

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from otel_ml.proto import snapshot_pb2
from otel_ml.sketch.snapshot import ENCODING

SOURCE = Path(snapshot_pb2.__file__).with_name("snapshot.proto")
_TOKEN = re.compile(
    r"(?P<open>message|enum)\s+(?P<name>\w+)\s*\{"
    r"|(?P<repeated>repeated\s+)?(?P<type>\w+)\s+(?P<field>\w+)\s*=\s*(?P<number>\d+)\s*;"
    r"|(?P<constant>\w+)\s*=\s*(?P<value>\d+)\s*;"
    r"|(?P<close>\})"
)


def written():
    """What the .proto says: {path: {field: (number, type, repeated)}} for messages and enums."""
    text = re.sub(r"//[^\n]*", "", SOURCE.read_text(encoding="utf-8"))
    found, path = {}, []
    for token in _TOKEN.finditer(text):
        if token["open"]:
            path.append(token["name"])
            found[".".join(path)] = {}
        elif token["close"]:
            path.pop()
        elif token["field"]:
            found[".".join(path)][token["field"]] = (int(token["number"]), token["type"], bool(token["repeated"]))
        elif token["constant"]:
            found[".".join(path)][token["constant"]] = int(token["value"])
    return found


def generated():
    """The same, of the checked-in code."""
    found = {}
    file = FileDescriptorProto.FromString(snapshot_pb2.DESCRIPTOR.serialized_pb)

    def add(message, path):
        found[path] = {
            field.name: (
                field.number,
                field.type_name.rpartition(".")[2] or FieldDescriptorProto.Type.Name(field.type)[5:].lower(),
                field.label == FieldDescriptorProto.LABEL_REPEATED,
            )
            for field in message.field
        }
        for nested in message.nested_type:
            add(nested, f"{path}.{nested.name}")

    for message in file.message_type:
        add(message, message.name)
    for enum in file.enum_type:
        found[enum.name] = {value.name: value.number for value in enum.value}
    return found


def test_the_generated_code_is_of_the_published_schema():
    """Field for field: whoever changes the .proto generates the code again."""
    assert generated() == written()


def test_the_encoding_is_the_name_of_the_message():
    """`ml.sketch.encoding` names the message that the payload is."""
    assert snapshot_pb2.Snapshot.DESCRIPTOR.full_name == ENCODING


def test_the_documentation_names_only_what_exists():
    """Every field that the guide for producers mentions is in the schema."""
    guide = SOURCE.with_name("README.md").read_text(encoding="utf-8")
    known = {name for path, fields in written().items() for name in (*path.split("."), *fields)}

    mentioned = set(re.findall(r"`([a-z][a-z0-9_]+)`", guide))

    assert mentioned - known <= {"kll_floats_sketch", "kll_doubles_sketch"}
    assert {"format_version", "producer_id", "sequence", "counters", "moments", "edges_hashes"} <= mentioned
