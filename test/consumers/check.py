"""Reads every output of a run as its users do. The folder of the results is the only argument."""

import json
import pathlib
import sys

import datasets
import polars
import pyarrow.parquet

datasets.disable_progress_bars()
folder = pathlib.Path(sys.argv[1])
cache = sys.argv[2]
expected = json.loads((folder / "reannotated.json").read_text("utf-8"))


def load(kind, name):
    table = datasets.load_dataset(kind, data_files=str(folder / name), split="train", cache_dir=cache)
    print(f"{name}: {len(table)} rows, {', '.join(table.column_names)}")
    return table


for kind, name in [("json", "reannotated.json"), ("json", "reannotated.jsonl"), ("parquet", "reannotated.parquet")]:
    table = load(kind, name)
    assert len(table) == len(expected), name
    assert set(table.column_names) == set(expected[0]), (name, table.column_names)
    for row, wanted in zip(table, expected):
        # The first of many rows may have an empty text in place of null.
        assert (row["annotation"] or None) == wanted["annotation"], name
        assert (row["annotation_original"] or None) == (wanted["annotation_original"] or None), name

assert polars.read_parquet(folder / "reannotated.parquet").height == len(expected)
assert polars.read_ndjson(folder / "reannotated.jsonl", infer_schema_length=None).height == len(expected)
assert pyarrow.parquet.read_table(folder / "reannotated.parquet").num_rows == len(expected)

for name in ["messages", "sharegpt", "sft", "dpo", "dpo_llamafactory", "kto"]:
    table = load("json", f"{name}.jsonl")
    if name == "messages":
        assert all(row["messages"][-1]["role"] == "assistant" for row in table)
        assert all(isinstance(json.loads(row["tools"]), list) for row in table if row.get("tools"))

try:
    from trl import data_utils
except ImportError as error:
    print(f"trl is left out: {error}")
else:
    assert data_utils.is_conversational(load("json", "messages.jsonl")[0])
    for name in ["sft", "dpo", "kto"]:
        assert data_utils.is_conversational(load("json", f"{name}.jsonl")[0]), name
print("all outputs are read")
