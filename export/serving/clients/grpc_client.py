"""Captions from TF Serving over gRPC. Needs grpcio, protobuf and numpy; no TensorFlow, no tensorflow-serving-api.

    python grpc_client.py features.npy --address localhost:8500

The features, (N, D), one row a video, are a .npy file or a .json file with a list of lists.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# The parts of TensorFlow's protocol that a predict request needs: field -> (number, type), "*" for repeated ones.
# Source: tensorflow/core/framework/tensor.proto, tensorflow_serving/apis/{model,predict}.proto
MESSAGES = {
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "*Dim")},
    "Tensor": {"dtype": (1, "int32"), "tensor_shape": (2, "Shape"), "tensor_content": (4, "bytes")}
    | {"float_val": (5, "*float"), "int_val": (7, "*int32"), "string_val": (8, "*bytes")},
    "NamedTensor": {"key": (1, "string"), "value": (2, "Tensor")},  # an entry of a map
    "Version": {"value": (1, "int64")},
    "ModelSpec": {"name": (1, "string"), "version": (2, "Version"), "signature_name": (3, "string")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "*NamedTensor")},
    "PredictResponse": {"outputs": (1, "*NamedTensor"), "model_spec": (2, "ModelSpec")},
}
TYPES = {"float": 2, "int64": 3, "int32": 5, "string": 9, "bytes": 12}  # numbers in descriptor.proto; 11: a message
DTYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 3, np.dtype(np.uint8): 4}  # TensorFlow's; 7: strings
METHOD = "/tensorflow.serving.PredictionService/Predict"


def message_classes(messages: dict) -> dict:
    """A class for each entry of a table like `MESSAGES`."""
    file = descriptor_pb2.FileDescriptorProto(name="predict.proto", package="p", syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            entry = message.field.add(name=field, number=number, label=3 if kind[0] == "*" else 1)
            entry.type = TYPES.get(kind.strip("*"), 11)
            if entry.type == 11:
                entry.type_name = f".p.{kind.strip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"p.{name}")) for name in messages}


CLASSES = message_classes(MESSAGES)


def predict_request(inputs: dict, model: str, signature: str, classes: dict = CLASSES):  # noqa: ANN201
    """A PredictRequest message for arrays by input name."""
    request = classes["PredictRequest"]()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        entry = request.inputs.add(key=name)
        entry.value.dtype, entry.value.tensor_content = DTYPES[array.dtype], array.tobytes()
        for size in array.shape:
            entry.value.tensor_shape.dim.add(size=size)
    return request


def to_array(tensor) -> np.ndarray:  # noqa: ANN001
    """The array of a Tensor message: packed as bytes, or value by value."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype == 7:
        return np.array([value.decode() for value in tensor.string_val], object).reshape(shape)
    dtype = next(dtype for dtype, number in DTYPES.items() if number == tensor.dtype)
    values = (
        np.frombuffer(tensor.tensor_content, dtype) if tensor.tensor_content else tensor.float_val or tensor.int_val
    )
    array = np.array(values, dtype)
    return np.full(shape, array[0]) if array.size == 1 else array.reshape(shape)  # one value stands for all


def main() -> None:
    """Asks for captions and writes them as JSON lines."""
    import grpc

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features")
    parser.add_argument("--address", default="localhost:8500")
    parser.add_argument("--model", default="captioner")
    args = parser.parse_args()
    with open(args.features, "rb") as file:
        features = np.asarray(np.load(file) if args.features.endswith(".npy") else json.load(file), np.float32)
    unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]  # 4 MB is gRPC's own limit
    with grpc.insecure_channel(args.address, options=unlimited) as channel:
        predict = channel.unary_unary(METHOD, lambda m: m.SerializeToString(), CLASSES["PredictResponse"].FromString)
        request = predict_request({"features": features}, args.model, "serving_default")
        outputs = {entry.key: to_array(entry.value) for entry in predict(request, timeout=60).outputs}
    for caption, score in zip(outputs["caption"], outputs["score"], strict=True):
        sys.stdout.write(json.dumps({"caption": caption, "score": float(score)}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
