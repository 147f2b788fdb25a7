"""What the three clients are checked by: the digits example, deployed as `digits`, and labels it was not trained on."""

import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "digits"


def samples(count=64):
    data = np.load(ROOT / "examples/digits/evaluation.npz")
    return data["image"][:count], data["labels"][:count]


class Report:
    """Prints a line for each call, and ends with status 1 if one went wrong."""

    def __init__(self, client, url):
        self.failed = 0
        print(f"{client} against {url}")

    def check(self, call, passed, seen=""):
        self.failed += not passed
        print(f"  {'ok  ' if passed else 'FAIL'} {call}{'' if passed else f': {seen}'}")

    def refused(self, call, error, *words):
        self.check(call, error is not None and all(word in str(error) for word in words), error)

    def end(self):
        print(f"{self.failed} failed")
        sys.exit(self.failed > 0)


def accuracy(logits, labels):
    return float((np.argmax(logits, axis=1) == labels).mean())


def is_right(logits, labels):
    """The example's model gets 98.9 % of its evaluation set right; one that answers something else gets 10 %."""
    return logits.shape == (len(labels), 10) and accuracy(logits, labels) > 0.9


def is_classified(texts, logits):
    """BYTES `value:index`, three a row, the first being the largest logit."""
    tops = [int(row[0].decode().split(":")[1]) for row in texts]
    return texts.shape == (len(logits), 3) and tops == list(np.argmax(logits, axis=1))
