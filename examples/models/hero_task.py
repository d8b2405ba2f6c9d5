#!/usr/bin/env python3
"""Makes a task that a story model of a million weights can learn: is the hero of a story a boy or a girl?

    python3 examples/models/hero_task.py --stories stories.txt --to 0.97 --output train.jsonl
    finetune --task choices --train train.jsonl --test test.jsonl

An item is two sentences in a row whose next one begins with "He" or "She", which is the label and is left out:
{"prompt": "<the two sentences> The little", "choices": [" boy", " girl"], "correct": 0 or 1}, one item a line,
as many of one label as of the other, so that chance is 0.5.

Why it can be learned: a model of such stories knows who is meant. It predicts "He" or "She" rightly in 19 of 20
cases. But asked for "boy" or "girl" it goes by what is common after "The little" as well, and is right in 3 of 4.
Fine-tuning only has to lead what the model knows to the words it is asked for.

Stories are separated by <|endoftext|>, or, in a text without that, one a line. `--from` and `--to` are shares of
each text, so that parts of one text can be kept apart.
"""

import argparse
import json
import pathlib
import random
import re

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
PRONOUNS = ("He ", "She ")
CHOICES = [" boy", " girl"]
LONGEST_PROMPT = 200  # characters


def read_stories(path):
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    parts = text.split("<|endoftext|>") if "<|endoftext|>" in text else text.split("\n")
    return [" ".join(part.split()) for part in parts if part.strip()]


def items_of(story):
    sentences = SENTENCE_END.split(story)
    for i in range(2, len(sentences)):
        given = " ".join(sentences[i - 2:i])
        for label, pronoun in enumerate(PRONOUNS):
            if sentences[i].startswith(pronoun) and len(given) < LONGEST_PROMPT:
                yield {"prompt": given + " The little", "choices": CHOICES, "correct": label}


def balanced(items, draw):
    """As many items of one label as of the other, in random order."""
    of_label = [[item for item in items if item["correct"] == label] for label in range(len(CHOICES))]
    count = min(map(len, of_label))
    chosen = [item for same in of_label for item in draw.sample(same, count)]
    draw.shuffle(chosen)
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", required=True, nargs="+", help="texts")
    parser.add_argument("--output", required=True, help=".jsonl file")
    parser.add_argument("--from", dest="first", type=float, default=0, help="share of each text to leave out before")
    parser.add_argument("--to", dest="last", type=float, default=1, help="share of each text at which to end")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    items = []
    for path in options.stories:
        stories = read_stories(path)
        part = stories[round(options.first * len(stories)):round(options.last * len(stories))]
        items += [item for story in part for item in items_of(story)]
    items = balanced(items, random.Random(options.seed))
    pathlib.Path(options.output).write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    print(f"{options.output}: {len(items)} items")


if __name__ == "__main__":
    main()
