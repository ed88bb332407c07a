"""What the interface tells of models, as JSON of TensorFlow Serving's messages."""

from collections.abc import Iterable

import orjson
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf import meta_graph_pb2

from serving.models.manager import Version
from serving.models.servable import Servable


def status_json(versions: Iterable[Version]) -> bytes:
    """`GetModelStatusResponse`: numbers of 64 bits are text, and defaults are written."""
    described = [
        {
            "version": str(version.number),
            "state": version.state.name,
            "status": {
                "error_code": version.error.code.name if version.error else "OK",
                "error_message": version.error.message if version.error else "",
            },
        }
        for version in versions
    ]
    return orjson.dumps({"model_version_status": described}, option=orjson.OPT_INDENT_2)


def metadata_json(servable: Servable) -> bytes:
    """`GetModelMetadataResponse` with the only field there is, `signature_def`: defaults are written."""
    graph = meta_graph_pb2.MetaGraphDef.FromString(servable.metadata)
    signatures = {
        name: MessageToDict(proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        for name, proto in graph.signature_def.items()
    }
    document = {
        "model_spec": {"name": servable.name, "signature_name": "", "version": str(servable.version)},
        "metadata": {
            "signature_def": {
                "@type": "type.googleapis.com/tensorflow.serving.SignatureDefMap",
                "signature_def": signatures,
            }
        },
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)
