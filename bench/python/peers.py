"""Serves an ONNX model by MLServer, BentoML or LitServe, as their documents show it, for bench/serving/peers.ts.

Usage: peers.py NAME PORT MODEL, or peers.py run SIZE MODEL, which prints the median of what runs of so many floats take
in milliseconds, with nothing around them. The model has one input x of floats; a session has one thread, as Hasten's have.
"""

import os
import statistics
import sys
import time

import numpy
import onnxruntime


def open_session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"])


def run(session, values):
    return session.run(None, {"x": numpy.asarray([values], dtype=numpy.float32)})[0]


def time_runs(size):
    session, times = open_session(), []
    feeds = {"x": numpy.ones((1, size), dtype=numpy.float32)}
    for _ in range(3000):
        started = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - started)
    print(statistics.median(times[1000:]) * 1000)


def serve_mlserver(port):
    import asyncio

    from mlserver import MLServer, ModelSettings, Settings

    settings = Settings(
        host="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2, parallel_workers=0, debug=False
    )

    async def main():
        await MLServer(settings).start([ModelSettings(name="peer", implementation="peer_mlserver.Peer")])

    asyncio.run(main())


def serve_litserve(port):
    import litserve

    from peer_litserve import Peer

    server = litserve.LitServer(Peer(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="warning")


def serve_bentoml(port):
    folder = os.path.dirname(os.path.abspath(__file__))
    arguments = ["serve", "peer_bento:Peer", "--port", str(port), "--host", "127.0.0.1", "--working-dir", folder]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *arguments])


if __name__ == "__main__":
    name, port, model = sys.argv[1:]
    os.environ["PEER_MODEL"] = model
    tasks = {"mlserver": serve_mlserver, "litserve": serve_litserve, "bentoml": serve_bentoml, "run": time_runs}
    tasks[name](int(port))
