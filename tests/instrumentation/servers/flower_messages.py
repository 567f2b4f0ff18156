"""Protobuf messages of a small predictor, made without a compiler."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "double": _FIELD.TYPE_DOUBLE,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "float": _FIELD.TYPE_FLOAT,
    "int64": _FIELD.TYPE_INT64,
    "Colour": _FIELD.TYPE_ENUM,
}
_MESSAGES = {
    "Flower": {"width": "double", "height": "double", "colour": "Colour", "photo": "bytes"},
    "Flowers": {"rows": ["Flower"], "note": "string"},
    "Area": {"area": "double"},
    "Answer": {"prediction": "double", "score": "double"},
    "Answers": {"predictions": ["double"]},
    "Done": {"done": "bool", "id": "string"},
    # As in the Open Inference Protocol, as far as a test needs it.
    "Contents": {"int64_contents": ["int64"], "fp32_contents": ["float"], "bytes_contents": ["bytes"]},
    "Tensor": {"name": "string", "datatype": "string", "shape": ["int64"], "contents": "Contents"},
    "ModelInferRequest": {
        "model_name": "string",
        "model_version": "string",
        "id": "string",
        "inputs": ["Tensor"],
        "raw_input_contents": ["bytes"],
    },
    "ModelInferResponse": {"id": "string", "outputs": ["Tensor"], "raw_output_contents": ["bytes"]},
}


def _file():
    file = descriptor_pb2.FileDescriptorProto(name="flower.proto", package="flowers", syntax="proto3")
    colour = file.enum_type.add(name="Colour")
    for number, name in enumerate(("UNKNOWN", "RED", "BLUE")):
        colour.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, given) in enumerate(fields.items(), 1):
            repeated = isinstance(given, list)
            kind = given[0] if repeated else given
            added = message.field.add(
                name=field, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            )
            if kind in _MESSAGES:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".flowers.{kind}"
            else:
                added.type = _KINDS[kind]
                if kind == "Colour":
                    added.type_name = ".flowers.Colour"
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _message(name):
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"flowers.{name}"))


Flower, Flowers, Area = _message("Flower"), _message("Flowers"), _message("Area")
Answer, Answers, Done = _message("Answer"), _message("Answers"), _message("Done")
Contents, Tensor = _message("Contents"), _message("Tensor")
ModelInferRequest, ModelInferResponse = _message("ModelInferRequest"), _message("ModelInferResponse")
