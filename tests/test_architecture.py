"""The rules of the house: who imports whom, and what must not exist."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "rankloop"

# From the bottom up; a room may import rooms of lower levels and its own.
LEVELS = [
    {"shown"},
    {"redaction"},
    {
        *("errors", "randomness", "progress", "filesystems", "npy", "signals", "memory"),
        "reading",
        *("plain_columns", "spreadsheets"),
    },
    {"packed", "parquet", "decoding"},
    {"images", "metrics", "storage"},
    {"distortions", "locking"},
    {"ranking", "datasets"},
    {"models", "losses"},
    {"methods"},
    {"cluster", "tracking", "plots", "figures", "waiting"},
    {"streams", "training", "scoring", "previews"},
    {"tuning", "active"},
    {"command_line"},
    {"sweep_job", "comparison_job", "strategy_comparison"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# What a notebook may use with plain PyTorch.
PLAIN = [room for rooms in LEVELS[:9] for room in rooms]


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    if path == PACKAGE / "__init__.py":
        assert not list(imported(path))
        return
    mine = LEVEL[room(path)]
    for name in imported(path):
        if name.startswith("rankloop."):
            other = name.split(".")[1]
            assert LEVEL[other] < mine or other == room(path) or mine == LEVEL[other] >= 9, (
                f"{path.name} imports {name}: {room(path)} may not import {other}"
            )


def test_everything_up_to_methods_works_without_ray_and_mlflow():
    names = [
        "rankloop." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in modules()
        if room(path) in PLAIN and path.name != "__init__.py"
    ]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
found = sorted(name for name in ("ray", "mlflow", "optuna") if name in sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_only_tracking_and_its_model_know_mlflow():
    knowing = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(name.split(".")[0] == "mlflow" for name in imported(path))
    }
    assert {name for name in knowing if not name.startswith("tracking/")} == {
        "scoring/mlflow_model.py",
        "scoring/mlflow_model_code.py",
    }


def test_platform_is_a_source_root_and_never_a_package():
    assert not (ROOT / "platform" / "__init__.py").exists()
    import platform

    assert platform.system()
    assert not str(platform.__file__).startswith(str(ROOT))


def test_files_stay_small():
    long = {str(p): len(p.read_text().splitlines()) for p in modules()}
    assert not {name: lines for name, lines in long.items() if lines > 400}


def test_no_pickle_no_eval_and_no_global_random_generators():
    banned = ("pickle", "dill", "joblib", "random")
    for path in modules():
        assert not set(imported(path)) & set(banned), path
        called = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not called & {"torch.load", "torch.save", "np.random.seed", "eval", "exec"}, path
