"""Every call of `tritonclient.http` that Hasten offers: python tritonclient_http.py [host:port]."""

import sys

import numpy as np
import tritonclient.http as triton
from checks import MODEL, Report, is_classified, is_right, samples
from tritonclient.utils import InferenceServerException

url = sys.argv[1] if len(sys.argv) > 1 else "localhost:8081"
client = triton.InferenceServerClient(url)
report = Report("tritonclient.http", url)
images, labels = samples()


def error_of(call):
    try:
        call()
    except InferenceServerException as error:
        return error
    return None


def input_of(values, binary=True):
    tensor = triton.InferInput("image", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return [tensor]


report.check("is_server_live", client.is_server_live())
report.check("is_server_ready", client.is_server_ready())
report.check("is_model_ready", client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1"))
report.check("is_model_ready of no model", not client.is_model_ready("nobody"))
report.check("get_server_metadata", "statistics" in client.get_server_metadata()["extensions"])
report.check("get_model_metadata", client.get_model_metadata(MODEL)["inputs"][0]["shape"] == [-1, 1, 28, 28])
report.check("get_model_config", client.get_model_config(MODEL)["input"][0]["data_type"] == "TYPE_FP32")
report.check("get_model_repository_index", client.get_model_repository_index()[0]["state"] == "READY")
report.check("get_trace_settings", client.get_trace_settings()["trace_level"] == ["OFF"])
report.check("get_log_settings", "log_info" in client.get_log_settings())

before = client.get_inference_statistics(MODEL)["model_stats"][0]["inference_stats"]["success"]["count"]
logits = client.infer(MODEL, input_of(images)).as_numpy("logits")
report.check("infer, binary both ways", is_right(logits, labels))
after = client.get_inference_statistics(MODEL)["model_stats"][0]["inference_stats"]["success"]["count"]
report.check("get_inference_statistics", after == before + 1, (before, after))

plain = [triton.InferRequestedOutput("logits", binary_data=False)]
result = client.infer(MODEL, input_of(images[:2], binary=False), outputs=plain, request_id="r-1")
report.check("infer, JSON both ways", np.allclose(result.as_numpy("logits"), logits[:2], atol=1e-4))
report.check("infer, request_id", result.get_response()["id"] == "r-1")
for coding in ("gzip", "deflate"):
    result = client.infer(
        MODEL,
        input_of(images),
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    report.check(f"infer, {coding} both ways", np.allclose(result.as_numpy("logits"), logits, atol=1e-4))
classes = [triton.InferRequestedOutput("logits", class_count=3)]
texts = client.infer(MODEL, input_of(images), outputs=classes).as_numpy("logits")
report.check("infer, classification", is_classified(texts, logits), texts)
result = client.infer(MODEL, input_of(images), model_version="1", priority=1, timeout=5_000_000, sequence_id=7)
report.check("infer, version, priority, timeout, sequence", is_right(result.as_numpy("logits"), labels))
pending = [client.async_infer(MODEL, input_of(images)) for _ in range(4)]
report.check("async_infer", all(is_right(one.get_result().as_numpy("logits"), labels) for one in pending))

report.refused("infer of no model", error_of(lambda: client.infer("nobody", input_of(images))), "404", "nobody")
report.refused("infer, wrong shape", error_of(lambda: client.infer(MODEL, input_of(images[:, :, :7]))), "400", "shape")
client.unload_model(MODEL)
report.refused("infer of an unloaded model", error_of(lambda: client.infer(MODEL, input_of(images))), "404")
report.check("unload_model", not client.is_model_ready(MODEL))
client.load_model(MODEL)
report.check("load_model", client.is_model_ready(MODEL))
report.refused("load_model with a configuration", error_of(lambda: client.load_model(MODEL, config="{}")), "501")
report.refused("get_system_shared_memory_status", error_of(client.get_system_shared_memory_status), "501")
report.end()
