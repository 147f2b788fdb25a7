"""Times training steps of one net in PyTorch: python bench/python/training.py NET STEPS THREADS. Development only.

The nets are those of bench/training-nets.ts; the optimizer is AdamW with weight decay, as there. Prints one line of JSON.
"""

import json
import math
import resource
import sys
import time

import torch
from torch import nn

WARM_UP = 3


def cnn():
    layers, inputs = [], 1
    for channels, pool in [(32, False), (64, True), (64, False), (128, True), (128, False)]:
        layers += [nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool else []
        inputs = channels
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()  # statistics are frozen, as in ours
    return net, (32, 1, 28, 28)


def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)), (64, 784)


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.projections = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        n, length, width = x.shape
        y = self.norms[0](x)
        q, k, v = (p(y).view(n, length, self.heads, -1).transpose(1, 2) for p in self.projections[:3])
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(width / self.heads), -1)
        x = x + self.projections[3]((weights @ v).transpose(1, 2).reshape(n, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.norms[1](x))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(64, 4, 256) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.norm(self.blocks(x)).mean(1))


def transformer():
    return Transformer(), (32, 32, 64)


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name, steps, threads):
    idle = peak_bytes()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    net, dims = {"cnn": cnn, "mlp": mlp, "transformer": transformer}[name]()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    loss_of = nn.CrossEntropyLoss()
    x, y = torch.randn(dims), torch.randint(0, 10, dims[:1])
    times, losses = [], []
    for step in range(WARM_UP + steps):
        started = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step >= WARM_UP:
            times.append((time.perf_counter() - started) * 1000)
    ms = sorted(times)[len(times) // 2]
    print(json.dumps({"ms": ms, "idleBytes": idle, "peakBytes": peak_bytes(), "firstLoss": losses[0], "lastLoss": losses[-1]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
