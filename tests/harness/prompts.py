#!/usr/bin/env python3
"""Compares what `zeroqat eval` asks a model with what lm-evaluation-harness asks, as its own task files say.

    git clone https://github.com/EleutherAI/lm-evaluation-harness
    zeroqat eval --tasks piqa,arc_easy,… --task-data DATA --samples samples.jsonl
    python3 tests/harness/prompts.py --harness lm-evaluation-harness --data DATA --samples samples.jsonl [--shots N]

Wants PyYAML and Jinja2. The templates, target delimiters and descriptions are read from the harness's YAML files, the
functions of HellaSwag and WinoGrande from its Python files; only how the parts are joined (`fewshot_context`) is written
down here. DATA holds the files of tests/README.md's data folder. HellaSwag has no ctx_a there, so that only its cleaning
is compared, and BoolQ no passages, so that it is left out.
"""

import argparse
import ast
import csv
import json
import pathlib
import random
import re
import sys
import types

import jinja2
import yaml

ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)


class Loader(yaml.SafeLoader):
    """Keeps `!function module.name` as text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def python_of(path):
    sys.modules.setdefault("datasets", types.SimpleNamespace(Dataset=None))
    names = {}
    exec(path.read_text(encoding="utf-8"), names)  # the harness's own functions
    return names


def configuration(harness, path):
    folder = harness / "lm_eval" / "tasks"
    found = yaml.load((folder / path).read_text(encoding="utf-8"), Loader)
    if "include" in found:
        found = configuration(harness, pathlib.Path(path).parent / found["include"]) | found
    return found


def labeled(doc):
    question = doc["question"]
    choices = {key: [choice[key] for choice in question["choices"]] for key in ("text", "label")}
    return {"question": question["stem"], "choices": choices, "answerKey": doc["answerKey"]}


def adapters(doc):
    stem, answers = re.search(r"question: (.*?)\n\n(.*?)\n\nAnswer format", doc["instruction"], re.S).groups()
    texts = [text.strip() for text in re.split(r"\s*Answer\d+: ?", answers)[1:]]
    labels = ["answer%d" % (i + 1) for i in range(len(texts))]
    return {"question_stem": stem, "choices": {"text": texts, "label": labels}, "answerKey": doc["answer"]}


def table(path):
    rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
    rows = rows[1:] if rows[0][-1] == "answer" else rows
    return [{"question": r[0], "choices": r[1:5], "answer": "ABCD".find(r[5]) if r[5] in "ABCD" else int(r[5])}
            for r in rows]


def piqa(data):
    labels = (data / "piqa/valid-labels.lst").read_text().split()
    return [doc | {"label": int(label)} for doc, label in zip(lines_of(data / "piqa/valid.jsonl"), labels)]


def rte(path):
    return [{"sentence1": d["premise"], "sentence2": d["hypothesis"], "label": int(d["label"] != "entailment")}
            for d in lines_of(path)]


def task_of(name, data, harness):
    """The configuration of a task, its documents and those that examples come from."""
    if name.startswith("mmlu_"):
        subject = name[len("mmlu_"):]
        return (configuration(harness, f"mmlu/default/{name}.yaml"), table(data / f"mmlu/test/{subject}_test.csv"),
                table(data / f"mmlu/dev/{subject}_dev.csv"))
    arc = {"arc_easy": "Easy", "arc_challenge": "Challenge"}.get(name)
    if arc:
        return (configuration(harness, f"arc/{name}.yaml"),
                *([labeled(d) for d in lines_of(data / f"arc/ARC-{arc}-{part}.jsonl")] for part in ("Test", "Train")))
    if name == "hellaswag":
        clean = python_of(harness / "lm_eval/tasks/hellaswag/utils.py")["preprocess"]
        return (configuration(harness, "hellaswag/hellaswag.yaml"),
                [{"query": clean(d["ctx"]), "choices": [clean(e) for e in d["endings"]], "label": d["label"]}
                 for d in lines_of(data / "hellaswag/hellaswag_val_first1000.jsonl")], [])
    return {
        "piqa": lambda: (configuration(harness, "piqa/piqa.yaml"), piqa(data), []),
        "winogrande": lambda: (configuration(harness, "winogrande/default.yaml"),
                               lines_of(data / "winogrande/winogrande_xl_validation.jsonl"), []),
        "openbookqa": lambda: (configuration(harness, "openbookqa/openbookqa.yaml"),
                               [adapters(d) for d in json.loads((data / "openbookqa/llm-adapters-test.json").read_text())],
                               []),
        "rte": lambda: (configuration(harness, "glue/rte/default.yaml"), rte(data / "rte/val.jsonl"),
                        rte(data / "rte/train.jsonl")),
        "gsm8k": lambda: (configuration(harness, "gsm8k/gsm8k.yaml"), lines_of(data / "gsm8k/test.jsonl"), []),
    }[name]()


class Task:
    def __init__(self, name, data, harness):
        self.config, self.documents, self.examples = task_of(name, data, harness)
        self.functions = (python_of(harness / "lm_eval/tasks/winogrande/preprocess_winogrande.py")
                          if name == "winogrande" else {})

    def resolve(self, field, doc):
        template = self.config[field]
        if not isinstance(template, str):
            return template
        if template.startswith("preprocess_winogrande."):
            return self.functions[template.split(".")[1]](doc)
        if template in doc:
            return doc[template]
        text = ENVIRONMENT.from_string(template).render(**doc)
        if field == "doc_to_choice" or (text.isdigit() and "doc_to_choice" in self.config):
            return ast.literal_eval(text)
        return text

    def arguments(self, doc, shots, draw):
        delimiter = self.config.get("target_delimiter", " ")
        first = self.config.get("fewshot_config", {}).get("sampler") == "first_n"
        chosen = self.examples[:shots] if first else draw.sample(self.examples, shots) if shots else []
        before = self.config.get("description", "")
        for example in chosen:
            question, target = self.resolve("doc_to_text", example), self.resolve("doc_to_target", example)
            if "doc_to_choice" in self.config:
                choices = self.resolve("doc_to_choice", example)
                question = choices[question] if isinstance(question, int) else question
                target = choices[target] if isinstance(target, int) else target
            before += question + delimiter + target + "\n\n"
        question, target = self.resolve("doc_to_text", doc), self.resolve("doc_to_target", doc)
        if "doc_to_choice" not in self.config:
            return [before + question], None
        choices = self.resolve("doc_to_choice", doc)
        if isinstance(question, int):
            return [[before + choice, delimiter + target] for choice in choices], question
        return [[before + question, delimiter + choice] for choice in choices], target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("harness", "data", "samples"):
        parser.add_argument("--" + name, required=True, type=pathlib.Path)
    parser.add_argument("--shots", type=int, default=0, help="what --num-fewshot was")
    options = parser.parse_args()
    tasks, same, other = {}, {}, 0
    for sample in lines_of(options.samples):
        name = sample["task"]
        if name not in tasks:
            tasks[name] = (Task(name, options.data, options.harness), random.Random(1234))
        task, draw = tasks[name]
        arguments, target = task.arguments(task.documents[sample["doc_id"]], options.shots, draw)
        if arguments == sample["arguments"] and target in (None, sample["target"]):
            same[name] = same.get(name, 0) + 1
        else:
            other += 1
            print(f"{name} {sample['doc_id']}: wanted {arguments} {target}\n  asked {sample['arguments']} {sample['target']}")
    print(", ".join(f"{name} {count}" for name, count in same.items()), "are the same;", other, "are others")
    sys.exit(1 if other or not same else 0)


if __name__ == "__main__":
    main()
