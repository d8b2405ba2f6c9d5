#!/usr/bin/env python3
"""Trains the tiny LLaMA-style model that zoqat's examples and tests use as their default model.

    ZOQAT_DATA=../shared python3 examples/models/train_tiny_llama.py

reads TinyStories text, trains a sentencepiece BPE tokenizer and a decoder of about 1.1 million
parameters from scratch, and writes a folder in the layout of Hugging Face:

    model.safetensors   bf16 weights under Hugging Face's LLaMA names, embeddings tied
    config.json         the keys of LlamaConfig
    tokenizer.bin       the tokenizer in the format of llama2.c
    README.md           a model card with the figures of this run

Then it reads the folder back with code of its own (numpy, not torch) and prints a held-out
perplexity, a greedy continuation and a few samples: reference values for other implementations.

Needs torch, numpy and sentencepiece (Debian: python3-torch, python3-numpy, python3-sentencepiece).
Debian's torch computes matrix products with whichever BLAS is installed: with libopenblas0-pthread it
is about fifteen times as fast as with the reference BLAS. A seed fixes the result on one machine with
one BLAS and one thread; another BLAS gives a model of the same quality with other bits.
"""

import argparse
import collections
import io
import json
import math
import os
import pathlib
import re
import struct
import time

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 1024,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "bfloat16",
}
BOS, EOS, BYTE_OFFSET = 1, 2, 3
CONTEXT = CONFIG["max_position_embeddings"]
HELD_OUT = 0.03  # the share of the stories, at the end of --text, that is never trained on


# ---------------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------------

# Typographic characters, and the same read as code page 1252 (as the lower-cased text has them).
ASCII = {"â€œ": '"', "â€™": "'", "â€˜": "'", "â€“": "-", "â€”": "-", "â€¦": "...", "â€": '"',
         "“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": "...", "«": '"', "»": '"'}


def clean(story):
    """One story with ASCII punctuation, its paragraphs separated by single newlines."""
    for old, new in ASCII.items():
        story = story.replace(old, new)
    return re.sub(r" *\n\s*", "\n", story.strip())


def read_stories(path):
    """The stories of a text with <|endoftext|> between them."""
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    return [s for s in map(clean, text.split("<|endoftext|>")) if s]


WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


def words(story):
    """(what stands between the previous word and this one, the word) for each word of a story."""
    end, before = 0, "\n"
    for match in WORD.finditer(story):
        yield (story[end:match.start()] if end else "\n" + before), match.group()
        end = match.end()


class CaseRestorer:
    """Gives lower-cased text its capitals back: each word takes the form that it most often has in the
    cased stories after the same punctuation, or else, after punctuation that usually starts a sentence,
    a capital, or else the form that it most often has inside sentences."""

    def __init__(self, stories):
        self.in_context = collections.defaultdict(collections.Counter)
        self.inside = collections.defaultdict(collections.Counter)
        starts = collections.defaultdict(collections.Counter)
        for story in stories:
            for gap, word in words(story):
                self.in_context[gap, word.lower()][word] += 1
                starts[gap][word[0].isupper()] += 1
                if gap in (" ", ", "):
                    self.inside[word.lower()][word] += 1
        self.sentence_start = {gap for gap, n in starts.items() if n[True] > n[False]}

    def form(self, gap, word):
        seen = self.in_context.get((gap, word))
        if seen and sum(seen.values()) >= 3:
            return seen.most_common(1)[0][0]
        inside = self.inside.get(word)
        form = inside.most_common(1)[0][0] if inside else word
        return form[0].upper() + form[1:] if gap in self.sentence_start else form

    def __call__(self, story):
        out, end = [], 0
        for (gap, word), match in zip(words(story), WORD.finditer(story)):
            out += [story[end:match.start()], self.form(gap, word)]
            end = match.end()
        return "".join(out) + story[end:]


def read_lower_cased(path, cased):
    """More stories from a lower-cased copy of the text that `cased` is the head of. That copy separates
    paragraphs by two newlines and stories by one. What `cased` holds already (held-out stories
    included) is skipped, which is found by counting letters; so is the story cut at the border."""
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    letters = sum(len(re.findall("[a-z]", story.lower())) for story in cased)
    border = next(m.end() for i, m in enumerate(re.finditer("[a-z]", text), 1) if i == letters)
    stories = map(clean, re.split(r"(?<!\n)\n(?!\n)", text[border:])[1:-1])
    restore = CaseRestorer(cased)
    return [restore(s) for s in stories if len(s) >= 300 and s.isascii()]


# ---------------------------------------------------------------------------------------------------
# Tokenizer
# ---------------------------------------------------------------------------------------------------

def train_tokenizer(stories):
    """A sentencepiece BPE model: bytes for what it has no piece for (newlines among it), digits apart,
    text left as it is but for the one space that stands in front of a text."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for story in stories for line in story.split("\n")),
        model_writer=model, model_type="bpe", vocab_size=CONFIG["vocab_size"], byte_fallback=True,
        split_digits=True, character_coverage=0.9999, normalization_rule_name="identity",
        remove_extra_whitespaces=False, num_threads=1, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def write_tokenizer(path, tokenizer):
    """llama2.c's format: int32 longest token, then per token float32 score, int32 length, bytes."""
    pieces = [tokenizer.id_to_piece(i).replace("▁", " ") for i in range(tokenizer.vocab_size())]
    pieces[BOS], pieces[EOS] = "\n<s>\n", "\n</s>\n"
    pieces = [piece.encode() for piece in pieces]
    with open(path, "wb") as file:
        file.write(struct.pack("<i", max(map(len, pieces))))
        for i, piece in enumerate(pieces):
            file.write(struct.pack("<fi", tokenizer.get_score(i), len(piece)) + piece)


class Tokenizer:
    """The tokenizer of llama2.c, read from tokenizer.bin: needs no sentencepiece, agrees with it."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        self.pieces, self.scores, at = [], [], 4
        while at < len(data):
            score, length = struct.unpack_from("<fi", data, at)
            self.pieces.append(data[at + 8:at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, text):
        """BOS and the tokens of the text: characters, then the best-scored neighbours merged in turn."""
        ids = []
        for character in " " + text if text else "":
            piece = character.encode()
            ids += [self.ids[piece]] if piece in self.ids else [b + BYTE_OFFSET for b in piece]
        while True:
            pairs = [self.ids.get(self.pieces[a] + self.pieces[b]) for a, b in zip(ids, ids[1:])]
            best = max(((self.scores[p], -i) for i, p in enumerate(pairs) if p is not None), default=None)
            if best is None:
                return [BOS] + ids
            ids[-best[1]:-best[1] + 2] = [pairs[-best[1]]]

    def decode(self, ids):
        """Text of tokens after BOS; the space in front of the text is dropped."""
        text = b"".join(bytes([i - BYTE_OFFSET]) if BYTE_OFFSET <= i < BYTE_OFFSET + 256 else
                        self.pieces[i] for i in ids if i not in (BOS, EOS))
        return text.decode(errors="replace").removeprefix(" ")


# ---------------------------------------------------------------------------------------------------
# Model (torch; used for training only). The modules are named so that the names of the parameters are
# Hugging Face's.
# ---------------------------------------------------------------------------------------------------

class RMSNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + CONFIG["rms_norm_eps"]) * self.weight


def rope_table():
    """cos and sin [CONTEXT, head_dim] of the angles position * theta^(-2i/head_dim), both halves alike."""
    size = CONFIG["head_dim"]
    frequency = CONFIG["rope_theta"] ** (-np.arange(0, size, 2) / size)
    angle = np.outer(np.arange(CONTEXT), frequency)
    angle = np.concatenate([angle, angle], axis=1)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


class Attention(nn.Module):
    def __init__(self, size, heads, kv_heads, head_dim):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q_proj = nn.Linear(size, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(size, kv_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(size, kv_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(heads * head_dim, size, bias=False)
        cos, sin = map(torch.from_numpy, rope_table())
        self.cos, self.sin = cos, sin
        self.mask = torch.full((CONTEXT, CONTEXT), -math.inf).triu(1)

    def rotate(self, x):
        first, second = x.chunk(2, dim=-1)
        n = x.shape[-2]
        return x * self.cos[:n] + torch.cat([-second, first], dim=-1) * self.sin[:n]

    def forward(self, x):  # x [batch, tokens, size]
        batch, n, _ = x.shape
        split = lambda y, heads: y.view(batch, n, heads, self.head_dim).transpose(1, 2)
        q = self.rotate(split(self.q_proj(x), self.heads))
        k = self.rotate(split(self.k_proj(x), self.kv_heads))
        v = split(self.v_proj(x), self.kv_heads)
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, dim=1) for y in (k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head_dim) + self.mask[:n, :n]
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, n, -1))


class MLP(nn.Module):
    def __init__(self, size, inner):
        super().__init__()
        self.gate_proj = nn.Linear(size, inner, bias=False)
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        size = config["hidden_size"]
        self.input_layernorm = RMSNorm(size)
        self.self_attn = Attention(size, config["num_attention_heads"], config["num_key_value_heads"],
                                   config["head_dim"])
        self.post_attention_layernorm = RMSNorm(size)
        self.mlp = MLP(size, config["intermediate_size"])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.dropout(self.self_attn(self.input_layernorm(x)))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.model.layers = nn.ModuleList(
            Layer(config, dropout) for _ in range(config["num_hidden_layers"]))
        self.model.norm = RMSNorm(config["hidden_size"])
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                depth = 2 * config["num_hidden_layers"] if into_residual else 1
                nn.init.normal_(parameter, std=0.02 / math.sqrt(depth))

    def loss(self, tokens):
        """Mean cross entropy of each token of [batch, n] given those before it in its row."""
        x = self.model.embed_tokens(tokens[:, :-1])
        for layer in self.model.layers:
            x = layer(x)
        logits = self.model.norm(x) @ self.model.embed_tokens.weight.T
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


# ---------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------

def batches(stories, batch, seed):
    """Endless batches [batch, CONTEXT] of windows of the stories laid end to end, each story with BOS in
    front. In one half of the rows the window starts at the BOS of a story, so that text sampled from BOS
    starts as stories do; in the other half anywhere, so that the later parts of long stories are learnt."""
    generator = np.random.default_rng(seed)
    stream = torch.tensor([token for story in stories for token in story])
    starts = np.flatnonzero(stream[:-CONTEXT].numpy() == BOS)
    order = []
    while True:
        if len(order) < batch // 2:
            order = order + list(generator.permutation(starts))
        rows = order[:batch // 2] + list(generator.integers(0, len(stream) - CONTEXT, batch - batch // 2))
        order = order[batch // 2:]
        yield torch.stack([stream[at:at + CONTEXT] for at in rows])


def chunks(stories):
    """The stories laid end to end and cut in chunks of CONTEXT tokens; a ragged rest is dropped."""
    stream = np.array([token for story in stories for token in story])
    return stream[:len(stream) // CONTEXT * CONTEXT].reshape(-1, CONTEXT)


def train(stories, held_out, options):
    """Trains a Llama with AdamW and a cosine schedule; returns the best state by held-out loss
    and its step."""
    torch.manual_seed(options.seed)
    model = Llama(CONFIG, options.dropout)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    norms = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": options.weight_decay},
                                   {"params": norms, "weight_decay": 0.0}], betas=(0.9, 0.95))
    held_out = torch.from_numpy(chunks(held_out))
    warm_up = min(200, options.steps // 10 + 1)
    best, best_state, best_step, began, running = math.inf, None, 0, time.time(), 0.0
    for step, batch in zip(range(1, options.steps + 1), batches(stories, options.batch, options.seed)):
        progress = max(0.0, (step - warm_up) / max(1, options.steps - warm_up))
        rate = min(step / warm_up, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * rate
        loss = model.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running += loss.item()
        if step % options.evaluate_every == 0 or step == options.steps:
            model.eval()
            with torch.no_grad():
                held_out_loss = sum(model.loss(part).item() * len(part)
                                    for part in held_out.split(16)) / len(held_out)
            model.train()
            print(f"step {step:5d}  train {running / ((step - 1) % options.evaluate_every + 1):.4f}  "
                  f"held-out {held_out_loss:.4f}  {time.time() - began:.0f} s", flush=True)
            running = 0.0
            if held_out_loss < best:
                best, best_step = held_out_loss, step
                best_state = {name: value.clone() for name, value in model.state_dict().items()}
    return best_state, best_step


def write_safetensors(path, tensors):
    """Stores tensors as bf16 (rounded half to even): 8 bytes little-endian length of the header, the
    header in JSON (padded with spaces to 8 bytes), the data in the order of the header."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in sorted(tensors.items()):
        blob = tensor.to(torch.bfloat16).contiguous().view(torch.int16).numpy().astype("<i2").tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


# ---------------------------------------------------------------------------------------------------
# Check: the written folder, read and run by numpy in fp32
# ---------------------------------------------------------------------------------------------------

def read_safetensors(path):
    """Name -> fp32 array of a file of bf16 tensors."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            bits = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
            tensors[name] = bits.view(np.float32).reshape(entry["shape"])
    return tensors


class Reference:
    """Inference as plainly as it can be said: logits [n, vocab] of one sequence of n tokens."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_safetensors(folder / "model.safetensors")
        self.tokenizer = Tokenizer(folder / "tokenizer.bin")

    def logits(self, tokens):
        c, w, n = self.config, self.weights, len(tokens)
        heads, kv_heads, size = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        cos, sin = (table[:n, None] for table in rope_table())

        def norm(x, name):
            return x / np.sqrt((x * x).mean(-1, keepdims=True) + c["rms_norm_eps"]) * w[name + ".weight"]

        def rotate(x):  # [n, heads, size]
            return x * cos + np.concatenate([-x[..., size // 2:], x[..., :size // 2]], -1) * sin

        x = w["model.embed_tokens.weight"][tokens]
        for i in range(c["num_hidden_layers"]):
            layer = f"model.layers.{i}."
            linear = lambda y, name: y @ w[layer + name + ".weight"].T
            y = norm(x, layer + "input_layernorm")
            q = rotate(linear(y, "self_attn.q_proj").reshape(n, heads, size))
            k = rotate(linear(y, "self_attn.k_proj").reshape(n, kv_heads, size))
            v = linear(y, "self_attn.v_proj").reshape(n, kv_heads, size)
            out = np.empty_like(q)
            for h in range(heads):
                g = h // (heads // kv_heads)
                scores = q[:, h] @ k[:, g].T / math.sqrt(size)
                scores[np.triu_indices(n, 1)] = -np.inf
                scores = np.exp(scores - scores.max(-1, keepdims=True))
                out[:, h] = scores / scores.sum(-1, keepdims=True) @ v[:, g]
            x = x + linear(out.reshape(n, -1), "self_attn.o_proj")
            y = norm(x, layer + "post_attention_layernorm")
            gate = linear(y, "mlp.gate_proj")
            x = x + linear(gate / (1 + np.exp(-gate)) * linear(y, "mlp.up_proj"), "mlp.down_proj")
        return norm(x, "model.norm") @ w["model.embed_tokens.weight"].T

    def loss(self, rows):
        """Mean over all tokens but the first of each row, summed in double."""
        total, count = 0.0, 0
        for row in rows:
            logits = self.logits(row)[:-1].astype(np.float64)
            top = logits.max(-1)
            total += (np.log(np.exp(logits - top[:, None]).sum(-1)) + top).sum()
            total -= logits[np.arange(len(row) - 1), row[1:]].sum()
            count += len(row) - 1
        return total / count

    def continue_(self, text, tokens, generator=None):
        """At most `tokens` further ids, until BOS or EOS: greedy, or sampled at temperature 1."""
        ids = self.tokenizer.encode(text) if text else [BOS]
        new = []
        while len(new) < tokens and len(ids) < CONTEXT:
            logits = self.logits(ids)[-1].astype(np.float64)
            if generator is None:
                token = int(logits.argmax())
            else:
                p = np.exp(logits - logits.max())
                token = int(generator.choice(len(p), p=p / p.sum()))
            if token in (BOS, EOS):
                break
            ids.append(token)
            new.append(token)
        return ids, new


def check(folder, tokenizer, held_out, extra_lines):
    """Reads the folder back, compares the tokenizers, returns the figures and a report."""
    reference = Reference(folder)
    for story in held_out[:8]:
        ids = reference.tokenizer.encode(story)
        assert ids == [BOS] + tokenizer.encode(story), "tokenizer.bin and sentencepiece disagree"
        assert reference.tokenizer.decode(ids) == story == tokenizer.decode(ids[1:])
    encoded = [[BOS] + tokenizer.encode(story) for story in held_out]
    rows = chunks(encoded)
    loss = reference.loss(rows)
    tokens, size = sum(len(s) - 1 for s in encoded), sum(len(s.encode()) for s in held_out)
    figures = {
        "parameters": sum(t.size for t in reference.weights.values()),
        "held-out stories": len(held_out),
        "held-out chunks": len(rows),
        "bytes per token": size / tokens,
        "loss": loss,
        "perplexity": math.exp(loss),
    }
    if extra_lines:
        long = [[BOS] + tokenizer.encode(line) for line in extra_lines if len(line) > 200]
        figures["validation chunks"] = len(chunks(long))
        figures["validation loss"] = reference.loss(chunks(long))
        figures["validation perplexity"] = math.exp(figures["validation loss"])
    prompt = "Once upon a time"
    ids, new = reference.continue_(prompt, 40)
    lines = [f"{name}: {value}" for name, value in figures.items()]
    lines += ["", f"greedy from {prompt!r}: {reference.tokenizer.decode(new)!r}", f"ids: {ids}", ""]
    generator = np.random.default_rng(1)
    for i in range(4):
        ids, _ = reference.continue_("", CONTEXT - 1, generator)
        lines += [f"sample {i} at temperature 1 ({len(ids)} tokens):", reference.tokenizer.decode(ids), ""]
    return figures, "\n".join(lines)


CARD = """# tiny-llama

A LLaMA-style decoder of {parameters:,} parameters that tells children's stories, trained from scratch
as zoqat's own default model for examples, tests and measurements. It is small enough to be committed
and to run everywhere, and useful for nothing else.

| | |
|---|---|
| architecture | hidden 128, intermediate 384, 5 layers, 4 heads and 2 key/value heads of size 32, SwiGLU, RMSNorm (eps 1e-5), RoPE (theta 10000, half-split as in Hugging Face), tied embeddings |
| vocabulary | 1024 sentencepiece BPE tokens with byte fallback: 0 `<unk>`, 1 `<s>`, 2 `</s>`, byte b at b + 3 |
| context | 256 tokens |
| weights | `model.safetensors`, bf16, Hugging Face's names; no `lm_head` |
| tokenizer | `tokenizer.bin`, llama2.c's format; a text gets BOS and one space in front |
| held-out perplexity | **{perplexity:.3f}** per token (loss {loss:.4f}, {bytes_per_token:.2f} bytes per token) |
{validation}
Held-out: the last {stories} stories of the cased text, none of them trained on, but the state that was kept
is the one that did best on them; each cleaned as in training, encoded with BOS, laid end to end, cut in
{chunks} chunks of 256 tokens (a ragged rest dropped), loss within each chunk, on the bf16 weights, in fp32.
The other stories: one a line, those over 200 characters as they are, then the same.

A story begins after BOS, so text is sampled from BOS alone; the model ends a story with the BOS of the
next one and never says EOS. Newlines are the byte token `<0x0A>`. Quotation marks and dashes are ASCII.

## Data

TinyStories (Ronen Eldan and Yuanzhi Li, "TinyStories: How Small Can Language Models Be and Still Speak
Coherent English?", arXiv:2305.07759), licence CDLA-Sharing-1.0: about {training:.1f} MB of its training part,
{sources}.
No text of it is stored here. The stories were written by GPT-3.5 and GPT-4.

## Made by

    {command}

trained for {steps} steps of {batch} x 256 tokens, state of step {step} kept: fp32, AdamW (0.9, 0.95),
learning rate {rate:g} with cosine decay, weight decay {decay:g}, dropout {dropout:g}, gradient clipped at 1. A seed fixes the bits on one machine,
BLAS and thread count only.
"""


def main():
    data = pathlib.Path(os.environ.get("ZOQAT_DATA", "../shared")) / "data" / "tinystories"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", default=data / "tinystories_2M.txt",
                        help="stories with <|endoftext|> between them; the last 3 %% are held out")
    parser.add_argument("--lower-cased", default=data / "tinystories_4M.txt",
                        help="a longer, lower-cased copy of the same text ('' for none)")
    parser.add_argument("--validation", default=data / "tinystories_valid_30k.txt",
                        help="one further story a line, scored at the end ('' for none)")
    parser.add_argument("--out", default=pathlib.Path(__file__).parent / "tiny-llama", type=pathlib.Path)
    parser.add_argument("--steps", default=5000, type=int)
    parser.add_argument("--batch", default=16, type=int)
    parser.add_argument("--learning-rate", default=4e-3, type=float)
    parser.add_argument("--weight-decay", default=0.1, type=float)
    parser.add_argument("--dropout", default=0.0, type=float)
    parser.add_argument("--evaluate-every", default=250, type=int)
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--threads", default=1, type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    cased = read_stories(options.text)
    held_out_count = math.ceil(HELD_OUT * len(cased))
    stories, held_out = cased[:-held_out_count], cased[-held_out_count:]
    sources = f"{len(stories)} stories of a cased text"
    if options.lower_cased:
        more = read_lower_cased(options.lower_cased, cased)
        sources += f", {len(more)} of a lower-cased one with the capitals restored"
        stories = stories + more
    tokenizer = train_tokenizer(stories)
    encode = lambda texts: [[BOS] + tokenizer.encode(text) for text in texts]
    training = encode(stories)
    print(f"{sources}; {sum(map(len, training))} tokens; {len(held_out)} stories held out", flush=True)

    state, step = train(training, encode(held_out), options)

    options.out.mkdir(parents=True, exist_ok=True)
    write_safetensors(options.out / "model.safetensors", state)
    write_tokenizer(options.out / "tokenizer.bin", tokenizer)
    (options.out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    lines = pathlib.Path(options.validation).read_text().split("\n") if options.validation else []
    figures, report = check(options.out, tokenizer, held_out, lines)
    validation = ""
    if lines:
        validation = (f"| other stories | {figures['validation perplexity']:.3f} per token on 30 KB of "
                      f"TinyStories never seen ({figures['validation chunks']} chunks) |\n")
    (options.out / "README.md").write_text(CARD.format(
        parameters=figures["parameters"], perplexity=figures["perplexity"], loss=figures["loss"],
        bytes_per_token=figures["bytes per token"], stories=figures["held-out stories"],
        chunks=figures["held-out chunks"], validation=validation, sources=sources,
        training=sum(len(s.encode()) for s in stories) / 1e6, steps=options.steps, step=step, batch=options.batch,
        rate=options.learning_rate, decay=options.weight_decay, dropout=options.dropout,
        command=f"python3 examples/models/train_tiny_llama.py --steps {options.steps} "
                f"--batch {options.batch} --learning-rate {options.learning_rate:g} "
                f"--weight-decay {options.weight_decay:g} \\\n        --dropout {options.dropout:g} "
                f"--evaluate-every {options.evaluate_every} --seed {options.seed} --threads {options.threads}"))
    print(report)


if __name__ == "__main__":
    main()
