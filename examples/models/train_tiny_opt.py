#!/usr/bin/env python3
"""Trains the tiny OPT-style model that zoqat's examples and tests use beside the LLaMA-style one.

    ZOQAT_DATA=../shared python3 examples/models/train_tiny_opt.py

reads TinyStories text, trains a byte-level BPE tokenizer and a decoder of about 1.2 million
parameters from scratch, and writes a folder in the layout of Hugging Face:

    model.safetensors         bf16 weights under Hugging Face's OPT names, embeddings tied
    config.json               the keys of OPTConfig
    vocab.json, merges.txt    the tokenizer in the format of GPT-2
    README.md                 a model card with the figures of this run

Then it reads the folder back with code of its own (numpy, not torch) and prints a held-out
perplexity, a greedy continuation and a few samples: reference values for other implementations.

Needs what story_models.py needs, and regex (Debian: python3-regex).
"""

import collections
import functools
import json
import pathlib

import numpy as np
import regex
import torch
import torch.nn.functional as F
from torch import nn

import story_models

CONFIG = {
    "architectures": ["OPTForCausalLM"],
    "model_type": "opt",
    "hidden_size": 128,
    "word_embed_proj_dim": 128,
    "ffn_dim": 512,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "vocab_size": 1024,
    "activation_function": "relu",
    "do_layer_norm_before": True,
    "enable_bias": True,
    "layer_norm_elementwise_affine": True,
    "tie_word_embeddings": True,
    "bos_token_id": 2,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "torch_dtype": "bfloat16",
}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
END = 2  # `</s>`: in front of a text and after it, as OPT has it
CONTEXT = CONFIG["max_position_embeddings"]
UNUSED_POSITIONS = 2  # rows in front of OPT's table of positions
EPSILON = 1e-5


# ---------------------------------------------------------------------------------------------------
# Tokenizer
# ---------------------------------------------------------------------------------------------------

# GPT-2's cut of a text into words, which no token crosses.
WORD = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def byte_characters():
    """GPT-2's printable character for each byte: itself where it is printable in Latin-1, else the
    characters from 256 on in turn."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(b if b in printable else next(others)) for b in range(256)]


CHARACTERS = byte_characters()
BYTES = {character: byte for byte, character in enumerate(CHARACTERS)}


def spelled(word):
    """The bytes of a word as characters."""
    return "".join(CHARACTERS[b] for b in word.encode())


def merge(pieces, pair):
    """`pieces` with each occurrence of `pair`, from the left, made one."""
    out = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


class Tokenizer:
    """GPT-2's byte-level BPE. Ids: the special tokens, the 256 bytes, then the merges in their order."""

    def __init__(self, vocabulary, merges):
        self.ids = vocabulary
        self.pieces = {i: piece for piece, i in vocabulary.items()}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.word_ids = functools.lru_cache(None)(self._word_ids)

    def _word_ids(self, word):
        pieces = list(spelled(word))
        while True:
            pairs = [pair for pair in zip(pieces, pieces[1:]) if pair in self.ranks]
            if not pairs:
                return [self.ids[piece] for piece in pieces]
            pieces = merge(pieces, min(pairs, key=self.ranks.get))

    def encode(self, text):
        """The tokens of the text alone."""
        return [i for word in WORD.findall(text) for i in self.word_ids(word)]

    def decode(self, ids):
        """The text of tokens; special ones say nothing."""
        pieces = (self.pieces[i] for i in ids if i >= len(SPECIAL))
        return bytes(BYTES[c] for piece in pieces for c in piece).decode(errors="replace")


def train_tokenizer(stories):
    """Merges the pair of neighbors that is most frequent inside words, of equals the first in the order
    of characters, until the vocabulary is full."""
    counts = collections.Counter(word for story in stories for word in WORD.findall(story))
    words = [(list(spelled(word)), n) for word, n in counts.items()]
    pairs, where = collections.Counter(), collections.defaultdict(set)

    def count(index, sign):
        pieces, n = words[index]
        for pair in zip(pieces, pieces[1:]):
            pairs[pair] += sign * n
            where[pair].add(index)

    for index in range(len(words)):
        count(index, 1)
    merges = []
    while len(SPECIAL) + len(CHARACTERS) + len(merges) < CONFIG["vocab_size"]:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        for index in where.pop(best):
            count(index, -1)
            words[index] = merge(words[index][0], best), words[index][1]
            count(index, 1)
        del pairs[best]
        merges.append(best)
    pieces = SPECIAL + sorted(CHARACTERS) + ["".join(pair) for pair in merges]
    return Tokenizer({piece: i for i, piece in enumerate(pieces)}, merges)


def write_tokenizer(folder, tokenizer):
    """GPT-2's two files."""
    (folder / "vocab.json").write_text(json.dumps(tokenizer.ids, ensure_ascii=False) + "\n")
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in tokenizer.ranks]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


def read_tokenizer(folder):
    lines = (folder / "merges.txt").read_text().splitlines()[1:]
    return Tokenizer(json.loads((folder / "vocab.json").read_text()), [tuple(line.split(" ")) for line in lines])


# ---------------------------------------------------------------------------------------------------
# Model in torch
# ---------------------------------------------------------------------------------------------------

class Attention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(size, size))
        self.mix = story_models.CausalAttention(CONTEXT)

    def forward(self, x):  # x [batch, tokens, size]
        q, k, v = (story_models.split_heads(linear(x), self.heads)
                   for linear in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(self.mix(q, k, v))


class Layer(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        size = config["hidden_size"]
        self.self_attn_layer_norm = nn.LayerNorm(size, eps=EPSILON)
        self.self_attn = Attention(size, config["num_attention_heads"])
        self.final_layer_norm = nn.LayerNorm(size, eps=EPSILON)
        self.fc1 = nn.Linear(size, config["ffn_dim"])
        self.fc2 = nn.Linear(config["ffn_dim"], size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.dropout(self.self_attn(self.self_attn_layer_norm(x)))
        return x + self.dropout(self.fc2(F.relu(self.fc1(self.final_layer_norm(x)))))


class Opt(story_models.StoryModel):
    def __init__(self, config, dropout):
        super().__init__()
        size = config["hidden_size"]
        self.model = nn.Module()
        self.model.decoder = decoder = nn.Module()
        decoder.embed_tokens = nn.Embedding(config["vocab_size"], size)
        decoder.embed_positions = nn.Embedding(CONTEXT + UNUSED_POSITIONS, size)
        decoder.layers = nn.ModuleList(Layer(config, dropout) for _ in range(config["num_hidden_layers"]))
        decoder.final_layer_norm = nn.LayerNorm(size, eps=EPSILON)
        self.initialize(("out_proj.weight", "fc2.weight"), config["num_hidden_layers"])
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)
        nn.init.zeros_(decoder.embed_positions.weight[:UNUSED_POSITIONS])

    def logits(self, tokens):
        decoder = self.model.decoder
        x = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[UNUSED_POSITIONS:][:tokens.shape[1]]
        for layer in decoder.layers:
            x = layer(x)
        return decoder.final_layer_norm(x) @ decoder.embed_tokens.weight.T


# ---------------------------------------------------------------------------------------------------
# Model in numpy
# ---------------------------------------------------------------------------------------------------

class ReadTokenizer:
    """The tokenizer as the folder has it, with `</s>` in front of a text."""

    def __init__(self, folder):
        self.plain = read_tokenizer(folder)
        self.decode = self.plain.decode

    def encode(self, text):
        return [END] + self.plain.encode(text)


class Reference(story_models.Reference):
    def __init__(self, folder):
        super().__init__(RECIPE, folder)
        self.tokenizer = ReadTokenizer(folder)

    def logits(self, tokens):
        c, w, n, heads = self.config, self.weights, len(tokens), self.config["num_attention_heads"]

        def linear(x, name):
            return x @ w[name + ".weight"].T + w[name + ".bias"]

        def norm(x, name):
            centered = x - x.mean(-1, keepdims=True)
            deviation = np.sqrt((centered * centered).mean(-1, keepdims=True) + EPSILON)
            return centered / deviation * w[name + ".weight"] + w[name + ".bias"]

        positions = w["model.decoder.embed_positions.weight"][UNUSED_POSITIONS:][:n]
        x = w["model.decoder.embed_tokens.weight"][tokens] + positions
        for i in range(c["num_hidden_layers"]):
            layer = f"model.decoder.layers.{i}."
            y = norm(x, layer + "self_attn_layer_norm")
            q, k, v = (linear(y, f"{layer}self_attn.{part}_proj").reshape(n, heads, -1) for part in "qkv")
            x = x + linear(self.attend(q, k, v), layer + "self_attn.out_proj")
            y = linear(norm(x, layer + "final_layer_norm"), layer + "fc1")
            x = x + linear(np.maximum(y, 0), layer + "fc2")
        return norm(x, "model.decoder.final_layer_norm") @ w["model.decoder.embed_tokens.weight"].T


CARD = """# tiny-opt

An OPT-style decoder of {parameters:,} parameters that tells children's stories, trained from scratch
as zoqat's own small model of that family for examples, tests and measurements. It is small enough to be
committed and to run everywhere, and useful for nothing else.

| | |
|---|---|
| architecture | hidden 128, ffn 512, 5 layers, 4 heads of size 32, ReLU, LayerNorm (eps 1e-5) before each layer, learned positions after 2 unused rows, biases, tied embeddings |
| vocabulary | 1024 byte-level BPE tokens: 0 `<s>`, 1 `<pad>`, 2 `</s>`, 3 `<unk>`, 256 bytes, 764 merges |
| context | 256 tokens |
| weights | `model.safetensors`, bf16, Hugging Face's names; no `lm_head` |
| tokenizer | `vocab.json` and `merges.txt` in GPT-2's format, its cut into words; a text gets `</s>` in front and no space |
| held-out perplexity | **{perplexity:.3f}** per token (loss {loss:.4f}, {bytes_per_token:.2f} bytes per token) |
{validation}
Held-out: the last {stories} stories of the cased text, none of them trained on, but the state that was kept
is the one that did best on them; each cleaned as in training, encoded with `</s>` in front, laid end to end,
cut in {chunks} chunks of 256 tokens (a ragged rest dropped), loss within each chunk, on the bf16 weights, in
fp32. The other stories: one a line, those over 200 characters as they are, then the same.

A story begins after `</s>`, so text is sampled from `</s>` alone, and ends with the `</s>` of the next one.
Quotation marks and dashes are ASCII. The tokenizer was trained on the same stories.
"""

RECIPE = story_models.Recipe(
    script=pathlib.Path(__file__), name="tiny-opt", config=CONFIG, start=END, stops=(END,),
    window=CONTEXT + 1,  # the last position is learned too
    train_tokenizer=train_tokenizer, write_tokenizer=write_tokenizer,
    make_model=lambda dropout: Opt(CONFIG, dropout), make_reference=Reference, card=CARD)

if __name__ == "__main__":
    story_models.run(RECIPE, __doc__.split("\n")[0])
