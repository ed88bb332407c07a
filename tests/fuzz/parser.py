"""Reading the body of a REST request: any bytes are arrays of a signature, or refused in words."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from serving.errors import ServingError
from serving.rest import decode
from serving.rest.parse import parse_object
from serving.signatures import Signature, TensorSpec


def _signature(**inputs: tuple[str, tuple[int, ...] | None]) -> Signature:
    specs = {name: TensorSpec(name, name, dtype, shape) for name, (dtype, shape) in inputs.items()}
    return Signature("serving_default", "tensorflow/serving/predict", specs, {}, longest_list=4096)


SIGNATURES: Final[Mapping[str, Signature]] = {
    "": _signature(x=("float", (-1,))),
    "pair": _signature(a=("int64", (-1,)), b=("float", (-1, 2))),
    "text": _signature(text=("string", (-1,)), flag=("bool", None)),
    "picture_bytes": _signature(picture_bytes=("string", (-1,))),
    "long_table": _signature(x=("double", (-1, -1, -1))),
    "scalar": _signature(x=("uint8", ())),
}


@np.errstate(over="ignore")  # as the server has it
def check(body: bytes) -> str:
    """Read a body as a predict request; "" or what is wrong with it.

    Raises:
        AssertionError: it was refused as a mistake of the server, or in no words.
    """
    try:
        document = parse_object(body)
        signature = SIGNATURES.get(decode.signature_name(document), SIGNATURES[""])
        inputs, _ = decode.decode(document, signature.inputs)
        signature.check(inputs)
    except ServingError as error:
        refusal = error
    else:
        return ""
    assert refusal.code.http_status in (400, 501), refusal
    assert refusal.message.encode()
    return refusal.message
