"""A local stand-in for TF Serving's gRPC side: the Predict call of its protocol, through the same SavedModel.

Messages are built here from TensorFlow's own `tensor.proto` and maps as in the official files, apart from the tables
of our client: what the two agree on is the protocol, not a shared mistake.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from tensorflow.core.framework import tensor_pb2

_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def official_messages():
    """PredictRequest and PredictResponse as tensorflow_serving/apis/predict.proto has them."""
    pool = descriptor_pool.DescriptorPool()
    for source in (*_dependencies(tensor_pb2.DESCRIPTOR), wrappers_pb2.DESCRIPTOR):
        pool.AddSerializedFile(source.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="apis.proto", package="tensorflow.serving", syntax="proto3")
    file.dependency.extend([tensor_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name])
    spec = file.message_type.add(name="ModelSpec")
    spec.field.add(name="name", number=1, type=9, label=1)
    spec.field.add(name="version", number=2, type=11, label=1, type_name=".google.protobuf.Int64Value")
    spec.field.add(name="signature_name", number=3, type=9, label=1)
    for name, (map_name, map_number, spec_number) in {
        "PredictRequest": ("inputs", 2, 1),
        "PredictResponse": ("outputs", 1, 2),
    }.items():
        message = file.message_type.add(name=name)
        entry = message.nested_type.add(name=f"{map_name.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=9, label=1)
        entry.field.add(name="value", number=2, type=11, label=1, type_name=".tensorflow.TensorProto")
        kind = f".tensorflow.serving.{name}.{entry.name}"
        message.field.add(name=map_name, number=map_number, type=11, label=3, type_name=kind)
        message.field.add(
            name="model_spec", number=spec_number, type=11, label=1, type_name=".tensorflow.serving.ModelSpec"
        )
    pool.Add(file)
    names = ("PredictRequest", "PredictResponse")
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{n}")) for n in names]


def _dependencies(file) -> list:
    """A file and all it imports, imports first."""
    found = []
    for needed in file.dependencies:
        found += [f for f in _dependencies(needed) if f not in found]
    return [*found, file]


@contextlib.contextmanager
def grpc_server(saved_model: str | dict, model: str = "captioner", packed: bool = False):
    """Serves a SavedModel over gRPC on a free port, which is yielded.

    Args:
        saved_model: the folder with `saved_model.pb`, or signatures in its place.
        model: the only name that is known.
        packed: whether answers hold their numbers as bytes; TF Serving can be told to do either.
    """
    request_class, response_class = official_messages()
    signatures = saved_model if isinstance(saved_model, dict) else tf.saved_model.load(saved_model).signatures

    def predict(request, context):
        if request.model_spec.name != model:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({request.model_spec.name})"
            )
        name = request.model_spec.signature_name or "serving_default"
        if name not in signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature key "{name}" not found.')
        inputs = {
            key: tf.constant(tf.make_ndarray(tensor_pb2.TensorProto.FromString(value.SerializeToString())))
            for key, value in request.inputs.items()
        }
        response = response_class()
        response.model_spec.name, response.model_spec.signature_name = model, name
        response.model_spec.version.value = 1
        for key, value in signatures[name](**inputs).items():
            array = value.numpy()
            # Like AsProtoField: typed values, the usual form of TF Serving's answers.
            typed = packed or array.dtype == object
            proto = tf.make_tensor_proto(array) if typed else _field_by_field(array)
            response.outputs[key].MergeFromString(proto.SerializeToString())
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        predict, request_class.FromString, lambda message: message.SerializeToString()
    )
    services = {"Predict": handler}
    server = grpc.server(ThreadPoolExecutor(2), options=_LIMIT)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", services),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def _field_by_field(array: np.ndarray) -> tensor_pb2.TensorProto:
    proto = tf.make_tensor_proto(np.zeros(0, array.dtype), shape=(0,))
    proto.tensor_shape.CopyFrom(tf.TensorShape(array.shape).as_proto())
    (proto.float_val if array.dtype == np.float32 else proto.int_val).extend(array.ravel().tolist())
    return proto
