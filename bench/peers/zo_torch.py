#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A training step of OPT-125M's shape in PyTorch, to measure this library's against.

Random weights, fp32, W4A4 by fake quantization (weights per output channel, activations per token, both asymmetric),
logits of the whole vocabulary for every token, cross-entropy. Three things can be timed:

  forward  the loss, without gradients
  mezo     MeZO's step (Malladi et al. 2023): perturb all parameters in place, loss, perturb the other way, loss,
           restore, update; the direction is drawn anew from its seed in each of the four sweeps
  mezo-linear  the same, but only the blocks move: what a step of zoqat trains; embeddings rest
  ste      backpropagation through a straight-through estimator and AdamW

By itself it prints `name value unit` lines. With --serve it reads one of those words a line, or `memory`, and answers
with seconds of one step, or the megabytes that the process held at most; the order of the questions is the caller's,
so that two programs can take turns.

usage: OMP_WAIT_POLICY=passive zo_torch.py [--serve] [--tokens 384] [--sequences 1] [--threads 2] [--rounds 5]
"""

import argparse
import os
import statistics
import sys
import time

# The pools of OpenMP and OpenBLAS share the cores: one that spins while it waits takes them from the other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import torch.nn.functional as F

HIDDEN, LAYERS, HEADS, INNER, WORDS, POSITIONS = 768, 12, 12, 3072, 50272, 2048


def fake_quantize(x):
    """Rounds each row of x [rows, n] to a grid of 4 bits over its range, zero included; gradients pass straight.

    Ten times faster than torch.fake_quantize_per_channel_affine of PyTorch 1.13.
    """
    with torch.no_grad():
        least = x.amin(dim=1, keepdim=True).clamp_(max=0)
        most = x.amax(dim=1, keepdim=True).clamp_(min=0)
        scale = ((most - least) / 15).clamp_(min=1e-10)
        zero_point = (-least / scale).round_()
        rounded = (x / scale).round_().add_(zero_point).clamp_(0, 15).sub_(zero_point).mul_(scale)
    return x + (rounded - x).detach() if torch.is_grad_enabled() and x.requires_grad else rounded


class Linear(torch.nn.Linear):
    def forward(self, x):
        return F.linear(fake_quantize(x), fake_quantize(self.weight), self.bias)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(HIDDEN), torch.nn.LayerNorm(HIDDEN)
        self.q, self.k, self.v, self.o = (Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.fc1, self.fc2 = Linear(HIDDEN, INNER), Linear(INNER, HIDDEN)

    def forward(self, x, mask):
        length = mask.shape[0]
        normed = self.norm1(x)

        def heads(projection):
            return projection(normed).view(-1, length, HEADS, HIDDEN // HEADS).transpose(1, 2)

        q, k, v = heads(self.q), heads(self.k), heads(self.v)
        scores = (q * (HIDDEN // HEADS) ** -0.5) @ k.transpose(2, 3) + mask
        mixed = (scores.softmax(dim=3) @ v).transpose(1, 2).reshape(-1, HIDDEN)
        x = x + self.o(mixed)
        return x + self.fc2(F.relu(self.fc1(self.norm2(x))))


class Decoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.positions = torch.nn.Embedding(WORDS, HIDDEN), torch.nn.Embedding(POSITIONS, HIDDEN)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = torch.nn.LayerNorm(HIDDEN)

    def loss(self, tokens):
        """tokens [sequences, length]; each is scored on its successor."""
        length = tokens.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = (self.words(tokens) + self.positions(torch.arange(length))).view(-1, HIDDEN)
        for block in self.blocks:
            x = block(x, mask)
        logits = F.linear(self.norm(x), self.words.weight).view(len(tokens), length, WORDS)
        return F.cross_entropy(logits[:, :-1].reshape(-1, WORDS), tokens[:, 1:].reshape(-1))


class Steps:
    def __init__(self, tokens, sequences):
        torch.manual_seed(0)
        self.model = Decoder()
        with torch.no_grad():
            self.model.words.weight.mul_(0.02)
        self.batch = torch.randint(WORDS, (sequences, tokens))
        self.step = 0
        self.optimizer = None

    def forward(self):
        with torch.no_grad():
            return self.model.loss(self.batch).item()

    def mezo(self, parameters=None, epsilon=1e-3, rate=1e-7):
        parameters = list(parameters or self.model.parameters())
        self.step += 1

        def move(scale):
            torch.manual_seed(self.step)
            for p in parameters:
                p.data.add_(torch.normal(mean=0.0, std=1.0, size=p.shape), alpha=scale)

        with torch.no_grad():
            move(epsilon)
            up = self.model.loss(self.batch).item()
            move(-2 * epsilon)
            down = self.model.loss(self.batch).item()
            move(epsilon)
            move(-rate * (up - down) / (2 * epsilon))

    def mezo_linear(self):
        self.mezo(self.model.blocks.parameters())

    def ste(self):
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)
        self.optimizer.zero_grad(set_to_none=True)
        self.model.loss(self.batch).backward()
        self.optimizer.step()

    def seconds(self, name):
        start = time.perf_counter()
        getattr(self, name.replace("-", "_"))()
        return time.perf_counter() - start


def most_megabytes():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def serve(steps):
    for line in sys.stdin:
        name = line.strip()
        print(most_megabytes() if name == "memory" else steps.seconds(name), flush=True)


def report(steps, rounds):
    for name in ("forward", "mezo", "mezo-linear", "ste"):
        steps.seconds(name)
        seconds = statistics.median(steps.seconds(name) for _ in range(rounds))
        print(f"pytorch.{name}.time {seconds:.4g} s")
        print(f"pytorch.{name}.memory {most_megabytes():.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true")
    for name, value in (("tokens", 384), ("sequences", 1), ("threads", 2), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = Steps(options.tokens, options.sequences)
    if options.serve:
        serve(steps)
    else:
        report(steps, options.rounds)


if __name__ == "__main__":
    main()
