"""Every call of `tritonclient.http.aio` that Hasten offers: python tritonclient_aio.py [host:port]."""

import asyncio
import sys

import numpy as np
import tritonclient.http.aio as triton
from checks import MODEL, Report, is_classified, is_right, samples
from tritonclient.utils import InferenceServerException

url = sys.argv[1] if len(sys.argv) > 1 else "localhost:8081"


def input_of(values, binary=True):
    tensor = triton.InferInput("image", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return [tensor]


async def error_of(call):
    try:
        await call
    except InferenceServerException as error:
        return error
    return None


async def documents(client, report):
    report.check("is_server_live", await client.is_server_live())
    report.check("is_server_ready", await client.is_server_ready())
    report.check("is_model_ready", await client.is_model_ready(MODEL))
    report.check("get_server_metadata", "classification" in (await client.get_server_metadata())["extensions"])
    metadata = await client.get_model_metadata(MODEL)
    report.check("get_model_metadata", metadata["outputs"][0]["shape"] == [-1, 10], metadata)
    report.check("get_model_config", (await client.get_model_config(MODEL))["name"] == MODEL)
    report.check("get_model_repository_index", (await client.get_model_repository_index())[0]["name"] == MODEL)
    statistics = await client.get_inference_statistics(MODEL)
    report.check("get_inference_statistics", "inference_stats" in statistics["model_stats"][0], statistics)


async def main():
    report = Report("tritonclient.http.aio", url)
    images, labels = samples()
    async with triton.InferenceServerClient(url) as client:
        await documents(client, report)
        logits = (await client.infer(MODEL, input_of(images))).as_numpy("logits")
        report.check("infer, binary both ways", is_right(logits, labels))
        plain = [triton.InferRequestedOutput("logits", binary_data=False)]
        result = await client.infer(MODEL, input_of(images[:2], binary=False), outputs=plain)
        report.check("infer, JSON both ways", np.allclose(result.as_numpy("logits"), logits[:2], atol=1e-4))
        for coding in ("gzip", "deflate"):
            result = await client.infer(
                MODEL,
                input_of(images),
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
            report.check(f"infer, {coding} both ways", np.allclose(result.as_numpy("logits"), logits, atol=1e-4))
        classes = [triton.InferRequestedOutput("logits", class_count=3)]
        texts = (await client.infer(MODEL, input_of(images), outputs=classes)).as_numpy("logits")
        report.check("infer, classification", is_classified(texts, logits), texts)
        results = await asyncio.gather(*(client.infer(MODEL, input_of(images)) for _ in range(8)))
        report.check("infer, 8 at once", all(is_right(one.as_numpy("logits"), labels) for one in results))
        report.refused("infer of no model", await error_of(client.infer("nobody", input_of(images))), "404")
        await client.unload_model(MODEL)
        report.check("unload_model", not await client.is_model_ready(MODEL))
        await client.load_model(MODEL)
        report.check("load_model", await client.is_model_ready(MODEL))
    report.end()


asyncio.run(main())
