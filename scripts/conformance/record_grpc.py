"""Keeps messages of tritonclient.grpc for the tests, standing in for a server: python record_grpc.py <folder>."""

import pathlib
import sys
from concurrent import futures

import grpc
import numpy as np
import tritonclient.grpc as triton

out = pathlib.Path(sys.argv[1])
last = {}


class Handler(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        def keep_request(request, context):
            last["bytes"] = request
            return b""

        return grpc.unary_unary_rpc_method_handler(keep_request)


def keep(name, call):
    call()
    (out / f"tritonclient-grpc-{name}.bin").write_bytes(last["bytes"])


def tensor(name, values, datatype):
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values)
    return [given]


server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Handler(),))
client = triton.InferenceServerClient(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
server.start()

x = tensor("x", np.array([[1.5, -2]], np.float32), "FP32")
texts = tensor("t", np.array([b"a\0b", b"", b"\xff"], np.object_), "BYTES")
options = {
    "model_version": "1",
    "request_id": "r-1",
    "sequence_id": 7,
    "sequence_start": True,
    "priority": 1,
    "timeout": 5_000_000,
    "parameters": {"note": "a", "share": 0.5, "on": True},
    "outputs": [triton.InferRequestedOutput("y")],
}
classes = [triton.InferRequestedOutput("y", class_count=2)]
keep("infer-default", lambda: client.infer("affine", x))
keep("infer-options", lambda: client.infer("affine", x, **options))
keep("infer-classification", lambda: client.infer("affine", x, outputs=classes))
keep("infer-bytes", lambda: client.infer("text", texts))
keep("statistics", lambda: client.get_inference_statistics("affine"))
keep("index", lambda: client.get_model_repository_index())
keep("config", lambda: client.get_model_config("affine", "1"))
server.stop(0)
