"""What the scripts that train zoqat's tiny story models share: the text, the training loop, the weight
files, the check of what was written, and the command line. A script adds a `Recipe`: the sizes, the
tokenizer, the model, and how to read it back.

Needs torch and numpy (Debian: python3-torch, python3-numpy). Debian's torch computes matrix products
with whichever BLAS is installed: with libopenblas0-pthread it is about fifteen times as fast as with the
reference BLAS. A seed fixes the result on one machine with one BLAS and one thread; another BLAS gives a
model of the same quality with other bits.
"""

import argparse
import collections
import dataclasses
import json
import math
import os
import pathlib
import re
import struct
import time
import typing

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HELD_OUT = 0.03  # the share of the stories, at the end of --text, that is never trained on


@dataclasses.dataclass
class Recipe:
    """What one script adds."""
    script: pathlib.Path
    name: str          # of the folder that it writes by default
    config: dict       # config.json
    start: int         # the token in front of every story
    stops: tuple       # tokens at which a continuation ends
    window: int        # tokens of a training row: one more than are predicted
    train_tokenizer: typing.Callable  # stories -> an object with encode(text) and decode(ids)
    write_tokenizer: typing.Callable  # (folder, tokenizer)
    make_model: typing.Callable       # dropout -> StoryModel
    make_reference: typing.Callable   # folder -> Reference
    card: str          # the model card down to its "Held-out" paragraph

    @property
    def context(self):
        return self.config["max_position_embeddings"]


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
# Model (torch; used for training only)
# ---------------------------------------------------------------------------------------------------

class StoryModel(nn.Module):
    """A decoder in training: a subclass has `logits`, and modules named so that the names of the
    parameters are Hugging Face's."""

    def initialize(self, into_residual, layers):
        """Normal weights of deviation 0.02; smaller in matrices whose names end as in `into_residual`,
        which all `layers` add up in the stream."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                depth = 2 * layers if name.endswith(into_residual) else 1
                nn.init.normal_(parameter, std=0.02 / math.sqrt(depth))

    def loss(self, tokens):
        """Mean cross entropy of each token of [batch, n] given those before it in its row."""
        return F.cross_entropy(self.logits(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def split_heads(x, heads):
    """[batch, n, heads * size] as [batch, heads, n, size]."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


class CausalAttention(nn.Module):
    """Mixes values [batch, heads, n, size] by queries and keys; returns [batch, n, heads * size]."""

    def __init__(self, context):
        super().__init__()
        self.mask = torch.full((context, context), -math.inf).triu(1)

    def forward(self, q, k, v):
        batch, _, n, size = q.shape
        scores = q @ k.transpose(2, 3) / math.sqrt(size) + self.mask[:n, :n]
        return (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, n, -1)


# ---------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------

def batches(recipe, stories, batch, seed):
    """Endless batches [batch, window] of windows of the stories laid end to end, each story with the
    start token in front. In one half of the rows the window starts at the start of a story, so that text
    sampled from there starts as stories do; in the other half anywhere, so that the later parts of long
    stories are learned."""
    window = recipe.window
    generator = np.random.default_rng(seed)
    stream = torch.tensor([token for story in stories for token in story])
    starts = np.flatnonzero(stream[:-window].numpy() == recipe.start)
    order = []
    while True:
        if len(order) < batch // 2:
            order = order + list(generator.permutation(starts))
        rows = order[:batch // 2] + list(generator.integers(0, len(stream) - window, batch - batch // 2))
        order = order[batch // 2:]
        yield torch.stack([stream[at:at + window] for at in rows])


def chunks(stories, context):
    """The stories laid end to end and cut in chunks of `context` tokens; a ragged rest is dropped."""
    stream = np.array([token for story in stories for token in story])
    return stream[:len(stream) // context * context].reshape(-1, context)


def train(recipe, stories, held_out, options):
    """Trains a model with AdamW and a cosine schedule; returns the best state by held-out loss
    and its step."""
    torch.manual_seed(options.seed)
    model = recipe.make_model(options.dropout)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": options.weight_decay},
                                   {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.95))
    held_out = torch.from_numpy(chunks(held_out, recipe.context))
    warm_up = min(200, options.steps // 10 + 1)
    best, best_state, best_step, began, running = math.inf, None, 0, time.time(), 0.0
    all_batches = batches(recipe, stories, options.batch, options.seed)
    for step, batch in zip(range(1, options.steps + 1), all_batches):
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


# ---------------------------------------------------------------------------------------------------
# Weight files
# ---------------------------------------------------------------------------------------------------

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


# ---------------------------------------------------------------------------------------------------
# Check: the written folder, read and run by numpy in fp32
# ---------------------------------------------------------------------------------------------------

class Reference:
    """Inference as plainly as it can be said. A subclass has `tokenizer`, whose encode puts the start
    token in front, and `logits(tokens)`: [n, vocab] of one sequence of n tokens."""

    def __init__(self, recipe, folder):
        self.recipe = recipe
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_safetensors(folder / "model.safetensors")

    @staticmethod
    def attend(q, k, v):
        """Causal attention of q, k and v [n, heads, size] (fewer heads of k and v: shared in turn):
        [n, heads * size]."""
        n, heads, size = q.shape
        out = np.empty_like(q)
        for h in range(heads):
            g = h // (heads // k.shape[1])
            scores = q[:, h] @ k[:, g].T / math.sqrt(size)
            scores[np.triu_indices(n, 1)] = -np.inf
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            out[:, h] = scores / scores.sum(-1, keepdims=True) @ v[:, g]
        return out.reshape(n, -1)

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
        """At most `tokens` further ids, until a stop: greedy, or sampled at temperature 1."""
        ids = self.tokenizer.encode(text) if text else [self.recipe.start]
        new = []
        while len(new) < tokens and len(ids) < self.recipe.context:
            logits = self.logits(ids)[-1].astype(np.float64)
            if generator is None:
                token = int(logits.argmax())
            else:
                p = np.exp(logits - logits.max())
                token = int(generator.choice(len(p), p=p / p.sum()))
            if token in self.recipe.stops:
                break
            ids.append(token)
            new.append(token)
        return ids, new


def check(recipe, folder, tokenizer, held_out, extra_lines):
    """Reads the folder back, compares the tokenizers, returns the figures and a report."""
    reference = recipe.make_reference(folder)
    encode = lambda texts: [[recipe.start] + tokenizer.encode(text) for text in texts]
    for story in held_out[:8]:
        ids = reference.tokenizer.encode(story)
        assert [ids] == encode([story]), "the tokenizer as written and as trained disagree"
        assert reference.tokenizer.decode(ids) == story == tokenizer.decode(ids[1:])
    encoded = encode(held_out)
    rows = chunks(encoded, recipe.context)
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
        others = chunks(encode([line for line in extra_lines if len(line) > 200]), recipe.context)
        figures["validation chunks"] = len(others)
        figures["validation loss"] = reference.loss(others)
        figures["validation perplexity"] = math.exp(figures["validation loss"])
    prompt = "Once upon a time"
    ids, new = reference.continue_(prompt, 40)
    lines = [f"{name}: {value}" for name, value in figures.items()]
    lines += ["", f"greedy from {prompt!r}: {reference.tokenizer.decode(new)!r}", f"ids: {ids}", ""]
    generator = np.random.default_rng(1)
    for i in range(4):
        ids, _ = reference.continue_("", recipe.context - 1, generator)
        lines += [f"sample {i} at temperature 1 ({len(ids)} tokens):", reference.tokenizer.decode(ids), ""]
    return figures, "\n".join(lines)


CARD_REST = """
## Data

TinyStories (Ronen Eldan and Yuanzhi Li, "TinyStories: How Small Can Language Models Be and Still Speak
Coherent English?", arXiv:2305.07759), license CDLA-Sharing-1.0: about {training:.1f} MB of its training part,
{sources}.
No text of it is stored here. The stories were written by GPT-3.5 and GPT-4.

## Made by

    {command}

trained for {steps} steps of {batch} x {predicted} tokens, state of step {step} kept: fp32, AdamW (0.9, 0.95),
learning rate {rate:g} with cosine decay, weight decay {decay:g}, dropout {dropout:g}, gradient clipped at 1. A seed fixes the bits on one machine,
BLAS and thread count only.
"""


# ---------------------------------------------------------------------------------------------------
# Command line
# ---------------------------------------------------------------------------------------------------

def parse_options(recipe, description):
    data = pathlib.Path(os.environ.get("ZOQAT_DATA", "../shared")) / "data" / "tinystories"
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--text", default=data / "tinystories_2M.txt",
                        help="stories with <|endoftext|> between them; the last 3 %% are held out")
    parser.add_argument("--lower-cased", default=data / "tinystories_4M.txt",
                        help="a longer, lower-cased copy of the same text ('' for none)")
    parser.add_argument("--validation", default=data / "tinystories_valid_30k.txt",
                        help="one further story a line, scored at the end ('' for none)")
    parser.add_argument("--out", default=recipe.script.parent / recipe.name, type=pathlib.Path)
    parser.add_argument("--steps", default=5000, type=int)
    parser.add_argument("--batch", default=16, type=int)
    parser.add_argument("--learning-rate", default=4e-3, type=float)
    parser.add_argument("--weight-decay", default=0.1, type=float)
    parser.add_argument("--dropout", default=0.0, type=float)
    parser.add_argument("--evaluate-every", default=250, type=int)
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--threads", default=1, type=int)
    return parser.parse_args()


def run(recipe, description):
    """Trains, writes the folder, reads it back and reports."""
    options = parse_options(recipe, description)
    torch.set_num_threads(options.threads)

    cased = read_stories(options.text)
    held_out_count = math.ceil(HELD_OUT * len(cased))
    stories, held_out = cased[:-held_out_count], cased[-held_out_count:]
    sources = f"{len(stories)} stories of a cased text"
    if options.lower_cased:
        more = read_lower_cased(options.lower_cased, cased)
        sources += f", {len(more)} of a lower-cased one with the capitals restored"
        stories = stories + more
    tokenizer = recipe.train_tokenizer(stories)
    encode = lambda texts: [[recipe.start] + tokenizer.encode(text) for text in texts]
    training = encode(stories)
    print(f"{sources}; {sum(map(len, training))} tokens; {len(held_out)} stories held out", flush=True)

    state, step = train(recipe, training, encode(held_out), options)

    options.out.mkdir(parents=True, exist_ok=True)
    write_safetensors(options.out / "model.safetensors", state)
    recipe.write_tokenizer(options.out, tokenizer)
    (options.out / "config.json").write_text(json.dumps(recipe.config, indent=2) + "\n")
    lines = pathlib.Path(options.validation).read_text().split("\n") if options.validation else []
    figures, report = check(recipe, options.out, tokenizer, held_out, lines)
    validation = ""
    if lines:
        validation = (f"| other stories | {figures['validation perplexity']:.3f} per token on 30 KB of "
                      f"TinyStories never seen ({figures['validation chunks']} chunks) |\n")
    (options.out / "README.md").write_text((recipe.card + CARD_REST).format(
        parameters=figures["parameters"], perplexity=figures["perplexity"], loss=figures["loss"],
        bytes_per_token=figures["bytes per token"], stories=figures["held-out stories"],
        chunks=figures["held-out chunks"], validation=validation, sources=sources,
        training=sum(len(s.encode()) for s in stories) / 1e6, steps=options.steps, step=step, batch=options.batch,
        predicted=recipe.context, rate=options.learning_rate, decay=options.weight_decay, dropout=options.dropout,
        command=f"python3 examples/models/{recipe.script.name} --steps {options.steps} "
                f"--batch {options.batch} --learning-rate {options.learning_rate:g} "
                f"--weight-decay {options.weight_decay:g} \\\n        --dropout {options.dropout:g} "
                f"--evaluate-every {options.evaluate_every} --seed {options.seed} --threads {options.threads}"))
    print(report)
