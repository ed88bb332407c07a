"""The bodies of classify and regress requests to `Input` protos, and their results to JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.errors import InvalidArgument
from serving.rest.decode import from_base64, is_bytes, json_type
from serving.rest.parse import shown

_FIELDS = {int: "int64_list", bool: "int64_list", float: "float_list", str: "bytes_list", dict: "bytes_list"}
_INT64 = range(-(2**63), 2**63)


def decode(document: Mapping[str, Any]) -> input_pb2.Input:
    """The examples that a request holds.

    Raises:
        InvalidArgument: the message names the feature that is wrong.
    """
    if "examples" not in document:
        raise InvalidArgument(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise InvalidArgument(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise InvalidArgument(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    result = input_pb2.Input()
    if "context" in document:
        result.example_list_with_context.context.CopyFrom(_example(document["context"]))
        result.example_list_with_context.examples.extend(map(_example, examples))
    else:
        result.example_list.examples.extend(map(_example, examples))
    return result


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise InvalidArgument(f"Example must be JSON object but got JSON {json_type(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for each in content if isinstance(content, list) else [content]:
            _add(feature, name, each)
    return example


def _add(feature: feature_pb2.Feature, name: str, value: Any) -> None:
    if value is None or isinstance(value, list) or (isinstance(value, dict) and not is_bytes(value)):
        raise InvalidArgument(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
    field = _FIELDS[type(value)]
    kind = feature.WhichOneof("kind")
    if kind not in (None, field):
        raise InvalidArgument(
            f"Unexpected element type in feature: {name} expecting type: {kind.removesuffix('_list')}"
        )
    if isinstance(value, dict):
        value = from_base64(value["b64"])
    elif isinstance(value, str):
        value = value.encode()
    elif isinstance(value, int):
        value = int(value)  # true and false are 1 and 0
        if value not in _INT64:
            raise InvalidArgument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    getattr(feature, field).value.append(value)


def classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """`{"results": [[[label, score], ...], ...]}`."""
    return _dump([[[each.label, _number(each.score)] for each in found.classes] for found in result.classifications])


def regressions(result: regression_pb2.RegressionResult) -> bytes:
    """`{"results": [value, ...]}`."""
    return _dump([_number(each.value) for each in result.regressions])


def _number(value: float) -> float:
    # With no more digits than single precision holds.
    return float(str(np.float32(value))) if math.isfinite(value) else value


def _dump(results: Any) -> bytes:
    return json.dumps({"results": results}, ensure_ascii=False).encode()
