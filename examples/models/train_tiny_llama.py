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

Needs what story_models.py needs, and sentencepiece (Debian: python3-sentencepiece).
"""

import io
import pathlib
import struct

import numpy as np
import sentencepiece
import torch
import torch.nn.functional as F
from torch import nn

import story_models

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


def write_tokenizer(folder, tokenizer):
    """llama2.c's format: int32 longest token, then per token float32 score, int32 length, bytes."""
    pieces = [tokenizer.id_to_piece(i).replace("▁", " ") for i in range(tokenizer.vocab_size())]
    pieces[BOS], pieces[EOS] = "\n<s>\n", "\n</s>\n"
    pieces = [piece.encode() for piece in pieces]
    with open(folder / "tokenizer.bin", "wb") as file:
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
        """BOS and the tokens of the text: characters, then the best-scored neighbors merged in turn."""
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
# Model in torch
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
        self.heads, self.kv_heads = heads, kv_heads
        self.q_proj = nn.Linear(size, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(size, kv_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(size, kv_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(heads * head_dim, size, bias=False)
        self.cos, self.sin = map(torch.from_numpy, rope_table())
        self.mix = story_models.CausalAttention(CONTEXT)

    def rotate(self, x):
        first, second = x.chunk(2, dim=-1)
        n = x.shape[-2]
        return x * self.cos[:n] + torch.cat([-second, first], dim=-1) * self.sin[:n]

    def forward(self, x):  # x [batch, tokens, size]
        q = self.rotate(story_models.split_heads(self.q_proj(x), self.heads))
        k = self.rotate(story_models.split_heads(self.k_proj(x), self.kv_heads))
        v = story_models.split_heads(self.v_proj(x), self.kv_heads)
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, dim=1) for y in (k, v))
        return self.o_proj(self.mix(q, k, v))


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


class Llama(story_models.StoryModel):
    def __init__(self, config, dropout):
        super().__init__()
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.model.layers = nn.ModuleList(
            Layer(config, dropout) for _ in range(config["num_hidden_layers"]))
        self.model.norm = RMSNorm(config["hidden_size"])
        self.initialize(("o_proj.weight", "down_proj.weight"), config["num_hidden_layers"])

    def logits(self, tokens):
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x)
        return self.model.norm(x) @ self.model.embed_tokens.weight.T


# ---------------------------------------------------------------------------------------------------
# Model in numpy
# ---------------------------------------------------------------------------------------------------

class Reference(story_models.Reference):
    def __init__(self, folder):
        super().__init__(RECIPE, folder)
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
            x = x + linear(self.attend(q, k, v), "self_attn.o_proj")
            y = norm(x, layer + "post_attention_layernorm")
            gate = linear(y, "mlp.gate_proj")
            x = x + linear(gate / (1 + np.exp(-gate)) * linear(y, "mlp.up_proj"), "mlp.down_proj")
        return norm(x, "model.norm") @ w["model.embed_tokens.weight"].T


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
"""

RECIPE = story_models.Recipe(
    script=pathlib.Path(__file__), name="tiny-llama", config=CONFIG, start=BOS, stops=(BOS, EOS), window=CONTEXT,
    train_tokenizer=train_tokenizer, write_tokenizer=write_tokenizer,
    make_model=lambda dropout: Llama(CONFIG, dropout), make_reference=Reference, card=CARD)

if __name__ == "__main__":
    story_models.run(RECIPE, __doc__.split("\n")[0])
