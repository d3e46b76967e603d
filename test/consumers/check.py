"""Reads every output of runs as their users do: the arguments are folders of results."""

import json
import pathlib
import sys
import tempfile

import datasets
import polars
import pyarrow.parquet

try:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import data_utils
except ImportError as error:
    data_utils = None
    print(f"trl is left out: {error}")

datasets.disable_progress_bars()
CACHE = tempfile.mkdtemp()
CONVERSATIONAL = ["messages", "sft", "dpo", "kto"]
# Columns that may have an empty text in place of null in the first of many rows.
TEXTS = ["annotation", "annotation_original", "reasoning", "tools", "user_prompt"]


def load(folder, kind, name):
    table = datasets.load_dataset(kind, data_files=str(folder / name), split="train", cache_dir=CACHE)
    print(f"  {name}: {len(table)} rows, {', '.join(table.column_names)}")
    return table


def plain(value):
    """A value without what a table adds: members that are null in all of a struct, and empty lists for none."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one is not None}
    return [plain(one) for one in value] if isinstance(value, list) else value


def key_of(row, columns):
    """What identifies a row whatever its place: rows with rare types may come first in JSON Lines."""
    return json.dumps([plain(row[name]) or None for name in columns], sort_keys=True, ensure_ascii=False)


def check_results(folder, expected):
    columns = [name for name in ["user_prompt", "annotation", "annotation_tool_calls"] if name in expected[0]]
    originals = ["annotation_original", "annotation_original_tool_calls"]
    columns += [name for name in originals if name in expected[0]]
    wanted = sorted(key_of(row, columns) for row in expected)
    for kind, name in [("json", "reannotated.json"), ("json", "reannotated.jsonl"), ("parquet", "reannotated.parquet")]:
        table = load(folder, kind, name)
        missing = set(expected[0]) - {"metadata"} - set(table.column_names)
        assert not missing, (name, missing)
        assert sorted(key_of(row, columns) for row in table) == wanted, name
        if name == "reannotated.parquet":
            assert [row["user_prompt"] for row in table] == [row["user_prompt"] for row in expected], "order"
    assert polars.read_parquet(folder / "reannotated.parquet").height == len(expected)
    assert polars.read_ndjson(folder / "reannotated.jsonl", infer_schema_length=None).height == len(expected)
    assert pyarrow.parquet.read_table(folder / "reannotated.parquet").num_rows == len(expected)


def check_training(folder, expected):
    answered = [row for row in expected if row["annotation"] is not None or row.get("annotation_tool_calls")]
    for name in [*CONVERSATIONAL, "sharegpt", "dpo_llamafactory"]:
        table = load(folder, "json", f"{name}.jsonl")
        if name in ["messages", "sft"]:
            assert len(table) == len(answered), (name, len(table), len(answered))
        if "tools" in table.column_names:
            assert all(isinstance(json.loads(row["tools"]), list) for row in table if row["tools"]), name
        if data_utils is not None and name in CONVERSATIONAL:
            check_trl(name, table)


def tokenizer():
    """A tokenizer that splits nothing, with the chat template of Qwen 3: its text is what a model would be trained on."""
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"x": 0}, unk_token="x")))
    templates = pathlib.Path(data_utils.__file__).parent / "chat_templates"
    made.chat_template = (templates / "qwen3.jinja").read_text("utf-8")
    return made


def tools_of(row):
    """As TRL's trainers read the column."""
    tools = row.get("tools")
    return json.loads(tools) if isinstance(tools, str) and tools else None


def check_trl(name, table):
    """TRL's trainers call these functions on each row."""
    made = tokenizer()
    # The last rows are those with everything in them; thousands of others are alike.
    for row in [*table.select(range(min(5, len(table)))), *table.select(range(max(0, len(table) - 8), len(table)))]:
        assert data_utils.is_conversational(row), name
        assert data_utils.maybe_convert_to_chatml(dict(row)) is not None
        row = data_utils.maybe_extract_prompt(row)
        rendered = data_utils.maybe_apply_chat_template(row, made, tools_of(row))
        for column, turns in row.items():
            if column not in ["messages", "prompt", "completion", "chosen", "rejected"]:
                continue
            text = rendered["text" if column == "messages" else column]
            for turn in turns:
                assert (turn["content"] or "").strip() in text, (name, column, turn, text)
                for call in turn.get("tool_calls") or []:
                    assert call["function"]["name"] in text, (name, column, call, text)
        for tool in tools_of(row) or []:
            assert tool["function"]["name"] in rendered.get("text", rendered.get("prompt")), (name, tool)
    if name == "dpo":
        unpaired = data_utils.maybe_unpair_preference_dataset(table)
        assert len(unpaired) == 2 * len(table) and set(unpaired["label"]) == {True, False}


def check_parts(folder):
    """Each part by itself, and all of a format as one table."""
    for parts in sorted(path for path in folder.iterdir() if path.is_dir()):
        kind = "parquet" if parts.name == "parquet" else "json"
        ending = "parquet" if kind == "parquet" else "jsonl"
        names = sorted(path.name for path in parts.iterdir())
        alone = sum(len(load(parts, kind, name)) for name in names)
        assert len(load(parts, kind, f"*.{ending}")) == alone, parts
        if kind == "json":
            assert polars.read_ndjson(str(parts / "*.jsonl"), infer_schema_length=None).height == alone, parts


for argument in sys.argv[1:]:
    folder = pathlib.Path(argument)
    print(folder.parent.name)
    if not (folder / "reannotated.json").exists():
        check_parts(folder)
        continue
    rows = json.loads((folder / "reannotated.json").read_text("utf-8"))
    check_results(folder, rows)
    check_training(folder, rows)
print("all outputs are read")
