"""Every call of `tritonclient.grpc` that Hasten offers: python tritonclient_grpc.py [host:port]."""

import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from checks import MODEL, Report, is_classified, is_right, samples
from tritonclient.utils import InferenceServerException

url = sys.argv[1] if len(sys.argv) > 1 else "localhost:8001"
client = triton.InferenceServerClient(url)
report = Report("tritonclient.grpc", url)
images, labels = samples()


def error_of(call):
    try:
        call()
    except InferenceServerException as error:
        return error
    return None


def input_of(values):
    tensor = triton.InferInput("image", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values)
    return [tensor]


def successes():
    return client.get_inference_statistics(MODEL).model_stats[0].inference_stats.success.count


report.check("is_server_live", client.is_server_live())
report.check("is_server_ready", client.is_server_ready())
report.check("is_model_ready", client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1"))
report.check("is_model_ready of no model", not client.is_model_ready("nobody"))
report.check("get_server_metadata", "statistics" in client.get_server_metadata().extensions)
metadata = client.get_model_metadata(MODEL)
report.check("get_model_metadata", list(metadata.inputs[0].shape) == [-1, 1, 28, 28], metadata)
config = client.get_model_config(MODEL, as_json=True)["config"]
report.check("get_model_config", config["input"][0]["data_type"] == "TYPE_FP32", config)
report.check("get_model_repository_index", client.get_model_repository_index().models[0].state == "READY")

before = successes()
logits = client.infer(MODEL, input_of(images)).as_numpy("logits")
report.check("infer", is_right(logits, labels))
report.check("get_inference_statistics", successes() == before + 1, before)
result = client.infer(MODEL, input_of(images), request_id="r-1", model_version="1", priority=1, timeout=5_000_000)
report.check("infer, id, version, priority, timeout", result.get_response().id == "r-1")
for coding in ("gzip", "deflate"):
    result = client.infer(MODEL, input_of(images), compression_algorithm=coding)
    report.check(f"infer, {coding}", np.allclose(result.as_numpy("logits"), logits, atol=1e-4))
classes = [triton.InferRequestedOutput("logits", class_count=3)]
texts = client.infer(MODEL, input_of(images), outputs=classes).as_numpy("logits")
report.check("infer, classification", is_classified(texts, logits), texts)

answers = queue.Queue()
for _ in range(4):
    client.async_infer(MODEL, input_of(images), callback=lambda result, error: answers.put((result, error)))
results = [answers.get(timeout=30) for _ in range(4)]
report.check("async_infer", all(error is None and is_right(one.as_numpy("logits"), labels) for one, error in results))

client.start_stream(callback=lambda result, error: answers.put((result, error)))
for index in range(4):
    client.async_stream_infer(MODEL, input_of(images), request_id=str(index), enable_empty_final_response=index == 0)
results = [answers.get(timeout=30) for _ in range(4)]
ids = [one.get_response().id for one, error in results if error is None]
report.check("async_stream_infer, in order", ids == ["0", "1", "2", "3"], results)
client.async_stream_infer("nobody", input_of(images))
_, failure = answers.get(timeout=30)
report.refused("async_stream_infer of no model", failure, "nobody")
client.stop_stream()

report.refused("infer of no model", error_of(lambda: client.infer("nobody", input_of(images))), "NOT_FOUND")
wrong = error_of(lambda: client.infer(MODEL, input_of(images[:, :, :7])))
report.refused("infer, wrong shape", wrong, "INVALID_ARGUMENT", "shape")
late = error_of(lambda: client.infer(MODEL, input_of(images), client_timeout=1e-6))
report.refused("infer, client_timeout", late, "Deadline Exceeded")
client.unload_model(MODEL)
report.refused("infer of an unloaded model", error_of(lambda: client.infer(MODEL, input_of(images))), "NOT_FOUND")
report.check("unload_model", not client.is_model_ready(MODEL))
client.load_model(MODEL)
report.check("load_model", client.is_model_ready(MODEL))
report.refused("get_trace_settings", error_of(client.get_trace_settings), "UNIMPLEMENTED")
report.end()
