#!/usr/bin/env python3
"""Scores what `zeroqat eval --samples` logged once more, with a LLaMA forward pass and a tokenizer of its own.

    zeroqat eval --model stories260K.bin --tokenizer tok512.bin --tasks … --limit 200 --samples samples.jsonl
    python3 tests/harness/scores.py --model stories260K.bin --tokenizer tok512.bin --samples samples.jsonl

Wants NumPy. Reads llama2.c's files, computes in double, splits prompt and candidate as lm-evaluation-harness does, and
fails where a log-likelihood is off by more than 1e-4, or 4e-7 of one beyond 250, as sums of floats may be, or another
candidate is chosen (by sum or after division by characters). Of the library it uses nothing but the file of samples.
"""

import argparse
import json
import pathlib
import struct
import sys

import numpy as np


class Tokenizer:
    """llama2.c's: the best-scored merge first, from single characters on, unknown ones as bytes."""

    def __init__(self, path, size):
        data, at = path.read_bytes(), 4
        self.ids, self.scores = {}, []
        for i in range(size):
            score, length = struct.unpack_from("<fi", data, at)
            self.ids.setdefault(data[at + 8:at + 8 + length], i)
            self.scores.append(score)
            at += 8 + length
        self.vocabulary = {i: piece for piece, i in self.ids.items()}

    def encode(self, text):
        ids = [1] + ([self.ids[b" "]] if text else [])
        for character in text:
            piece = character.encode()
            ids += [self.ids[piece]] if piece in self.ids else [byte + 3 for byte in piece]
        while True:
            best = None
            for i in range(len(ids) - 1):
                pair = self.vocabulary.get(ids[i], b"\0") + self.vocabulary.get(ids[i + 1], b"\0")
                merged = self.ids.get(pair)
                if merged is not None and (best is None or self.scores[merged] > best[0]):
                    best = self.scores[merged], i, merged
            if best is None:
                return ids
            ids[best[1]:best[1] + 2] = [best[2]]


class Model:
    def __init__(self, path):
        data = path.read_bytes()
        self.dim, hidden, self.layers, self.heads, self.kv_heads, self.vocabulary, self.positions = \
            struct.unpack_from("<7i", data)
        values, at = np.frombuffer(data, "<f4", offset=28).astype(np.float64), 0

        def take(*shape):
            nonlocal at
            at += int(np.prod(shape))
            return values[at - int(np.prod(shape)):at].reshape(shape)

        layers, dim, kv = self.layers, self.dim, self.dim // self.heads * self.kv_heads
        self.embedding = take(self.vocabulary, dim)
        self.attention_norm = take(layers, dim)
        self.q, self.k, self.v, self.o = (take(layers, *s) for s in ((dim, dim), (kv, dim), (kv, dim), (dim, dim)))
        self.mlp_norm = take(layers, dim)
        self.gate, self.down, self.up = (take(layers, *s) for s in ((hidden, dim), (dim, hidden), (hidden, dim)))
        self.norm = take(dim)

    @staticmethod
    def rms(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

    def rotated(self, x):
        tokens, _, size = x.shape
        angles = np.arange(tokens)[:, None] * 10000.0 ** (-np.arange(0, size, 2) / size)
        turned = ((x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)[:, None, :])
        return np.stack([turned.real, turned.imag], -1).reshape(x.shape)

    def log_probabilities(self, ids):
        x, tokens, size = self.embedding[ids], len(ids), self.dim // self.heads
        hidden = np.triu(np.full((tokens, tokens), -np.inf), 1)
        for i in range(self.layers):
            y = self.rms(x, self.attention_norm[i])
            q = self.rotated((y @ self.q[i].T).reshape(tokens, self.heads, size))
            k, v = ((y @ w[i].T).reshape(tokens, self.kv_heads, size) for w in (self.k, self.v))
            k, v = (np.repeat(t, self.heads // self.kv_heads, 1) for t in (self.rotated(k), v))
            scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size) + hidden
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            x = x + np.einsum("hqk,khd->qhd", weights, v).reshape(tokens, self.dim) @ self.o[i].T
            y = self.rms(x, self.mlp_norm[i])
            gate = y @ self.gate[i].T
            x = x + (gate / (1 + np.exp(-gate)) * (y @ self.up[i].T)) @ self.down[i].T
        logits = self.rms(x, self.norm) @ self.embedding.T
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def log_likelihood(model, tokenizer, prompt, text, cache):
    kept = prompt.rstrip()
    for key in (kept, prompt + text):
        if key not in cache:
            cache[key] = tokenizer.encode(key)
    whole, given = cache[prompt + text][-(model.positions + 1):], len(cache[kept])
    scored = min(len(cache[prompt + text]) - given, len(whole) - 1)
    read = tuple(whole[:-1])
    if read not in cache:
        cache[read] = model.log_probabilities(list(read))
    first = len(whole) - scored
    return sum(cache[read][i - 1][whole[i]] for i in range(first, len(whole)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "tokenizer", "samples"):
        parser.add_argument("--" + name, required=True, type=pathlib.Path)
    options = parser.parse_args()
    model = Model(options.model)
    tokenizer = Tokenizer(options.tokenizer, model.vocabulary)
    tasks, failures = {}, 0
    for line in options.samples.read_text(encoding="utf-8").splitlines():
        sample, cache = json.loads(line), {}
        found = np.array(sample["log_likelihoods"])
        wanted = np.array([log_likelihood(model, tokenizer, *pair, cache) for pair in sample["arguments"]])
        lengths = np.array([len(text) - 1 for _, text in sample["arguments"]])
        error = abs(found - wanted).max()
        most = max(1e-4, 4e-7 * abs(wanted).max())
        same = found.argmax() == wanted.argmax() and (found / lengths).argmax() == (wanted / lengths).argmax()
        if error > most or not same:
            failures += 1
            print(f"{sample['task']} {sample['doc_id']}: log-likelihoods {found} but {wanted} are expected")
        count, largest = tasks.get(sample["task"], (0, 0))
        tasks[sample["task"]] = count + 1, max(largest, error)
    for task, (count, largest) in tasks.items():
        print(f"{task}: {count} items, log-likelihoods within {largest:.1e}")
    sys.exit(1 if failures or not tasks else 0)


if __name__ == "__main__":
    main()
