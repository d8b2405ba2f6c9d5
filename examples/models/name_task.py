#!/usr/bin/env python3
"""Makes a task of free answers that a story model of a million weights can learn: whom is a story about?

    python3 examples/models/name_task.py --stories stories.txt --to 0.7 --output train.jsonl
    python3 examples/models/name_task.py --stories stories.txt --from 0.7 --output test.jsonl
    optimize_reward train.jsonl test.jsonl f1

An item is the first two sentences of a story, of which one says "a little girl named Lily", in Alpaca's form:
{"instruction": "<the two sentences> This is a story about", "output": "a girl named Lily"}, one item a line.

Stories are separated by <|endoftext|>, or, in a text without that, one a line. `--from` and `--to` are shares of
each text, so that parts of one text can be kept apart.
"""

import argparse
import json
import pathlib
import re

from hero_task import SENTENCE_END, read_stories

NAMED = re.compile(r"\b([a-z]+) named ([A-Z][a-z]+)\b")


def item_of(story):
    given = " ".join(SENTENCE_END.split(story)[:2])
    found = NAMED.search(given)
    if not found:
        return None
    return {"instruction": given + " This is a story about", "output": "a {} named {}".format(*found.groups())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", required=True, nargs="+", help="texts")
    parser.add_argument("--output", required=True, help=".jsonl file")
    parser.add_argument("--from", dest="first", type=float, default=0, help="share of each text to leave out before")
    parser.add_argument("--to", dest="last", type=float, default=1, help="share of each text at which to end")
    options = parser.parse_args()
    items = []
    for path in options.stories:
        stories = read_stories(path)
        part = stories[round(options.first * len(stories)):round(options.last * len(stories))]
        items += filter(None, map(item_of, part))
    pathlib.Path(options.output).write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    print(f"{options.output}: {len(items)} items")


if __name__ == "__main__":
    main()
