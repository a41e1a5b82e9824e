"""The package's layers: imports point down, and what is named where."""

import ast
import pathlib

import pytest

import tfdistill

ROOT = pathlib.Path(tfdistill.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

LAYERS = [
    {"launcher"},
    {"config", "progress", "files"},
    {"tensors", "top_k"},
    {"decoding", "losses", "metrics", "text", "records", "replicas"},
    {"models", "training"},
    {"tasks", "distillation", "augmentation"},
    {"agreement", "assembly"},
    {"batching", "generation", "scoring", "text_predictions"},
    {"held_out"},
    {"experiment", "exporting", "sweeps", "reporting"},
    {
        "extract_wikipedia",
        "make_vocab",
        "make_records",
        "augment",
        "finetune",
        "export_logits",
        "extract_teacher",
        "distill",
        "evaluate",
        "export",
        "predict",
        "report",
        "sweep",
        "knowledge_report",
        "verify_records",
    },
    {"__main__"},
]
LEVEL = {name: i for i, layer in enumerate(LAYERS) for name in layer}
COMMANDS = LAYERS[-2]


def unit(path: pathlib.Path) -> str:
    """The module or package below `tfdistill` that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: pathlib.Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: pathlib.Path) -> set[str]:
    """Modules or packages of ours that a file imports, its own left out."""
    found = {
        name.split(".")[1]
        for name in imported(path)
        if name.startswith("tfdistill.")
    }
    return {n for n in found if n in LEVEL} - {unit(path)}


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda p: str(p.relative_to(ROOT))
)
def test_module(path):
    name = unit(path)
    if name == "__init__":
        assert not ours(path)
        return
    assert name in LEVEL, f"{name} belongs to no layer"
    for other in ours(path):
        assert LEVEL[other] < LEVEL[name], f"{name} imports {other}"
    text = path.read_text()
    assert len(text.splitlines()) <= 350
    assert not {"utils", "common", "helpers", "misc"} & set(
        path.relative_to(ROOT).with_suffix("").parts
    )
    names = imported(path)
    if name not in COMMANDS | {"config"}:
        assert not any(n.startswith("absl.flags") for n in names)
    if name != "replicas":
        assert not any("horovod" in n or "distribute" in n for n in names)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute):
                assert node.attr != "distribute"


def test_losses_and_metrics_import_nothing_of_ours():
    for package in ("losses", "metrics"):
        for path in (ROOT / package).rglob("*.py"):
            assert not ours(path), path


def test_every_layer_member_exists():
    for name in LEVEL:
        assert (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists(), name


def test_a_command_is_a_module_with_a_function_of_its_name():
    for name in COMMANDS:
        tree = ast.parse((ROOT / f"{name}.py").read_text())
        functions = {
            n.name for n in tree.body if isinstance(n, ast.FunctionDef)
        }
        assert name in functions
