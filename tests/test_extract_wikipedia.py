"""A dump becomes a text folder, however many processes work on it."""

import bz2
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from tfdistill.config.options import Artefacts, Corpus, General
from tfdistill.extract_wikipedia import extract_wikipedia


def _dump(pages: dict[str, str]) -> bytes:
    body = "".join(
        f"<page><title>{title}</title><ns>0</ns><id>1</id><revision>"
        f"<id>1</id><text>{escape(text)}</text></revision></page>"
        for title, text in pages.items()
    )
    return f"<mediawiki>{body}</mediawiki>".encode()


def _many(number: int) -> bytes:
    sentence = "This is [[sentence]] %d of ''article'' %d. "
    return _dump(
        {
            f"Article {a}": "\n\n".join(sentence % (s, a) for s in range(200))
            for a in range(number)
        }
    )


def _extract(dump: Path, text: Path, processes: int = 1, shard: int = 40_000):
    return extract_wikipedia(
        Artefacts(dump=str(dump), text=str(text)),
        General(num_processes=processes),
        Corpus(text_shard_bytes=shard),
    )


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tfdistill.extract_wikipedia", *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=60,
    )


def test_summary_and_text(tmp_path: Path) -> None:
    dump = tmp_path / "dump.xml"
    dump.write_bytes(
        _dump(
            {
                "A": "One here. Two there.\n\nThree.",
                "B": "#REDIRECT [[A]]",
                "C": "* list only",
                "D": "<b>" * 100_000,
                "E": "Last.",
            }
        )
    )
    summary = _extract(dump, tmp_path / "text")
    assert summary == {
        "articles": 2,
        "redirects": 1,
        "other_namespaces": 0,
        "empty_articles": 1,
        "unreadable_articles": 1,
        "sentences": 4,
        "bytes": 36,
        "shards": 1,
    }
    assert (tmp_path / "text" / "text-00000.txt").read_text() == (
        "One here.\nTwo there.\nThree.\n\nLast.\n\n"
    )


def test_processes_do_not_change_a_byte(tmp_path: Path) -> None:
    dump = tmp_path / "dump.xml.bz2"
    dump.write_bytes(bz2.compress(_many(60)))
    folders = []
    for processes in (1, 2, 3):
        folder = tmp_path / str(processes)
        summary = _extract(dump, folder, processes)
        assert summary["articles"] == 60
        assert summary["shards"] > 5
        folders.append({f.name: f.read_bytes() for f in folder.iterdir()})
    assert folders[0] == folders[1] == folders[2]
    assert "manifest.json" in folders[0]


def test_finished_text_is_not_made_again(tmp_path: Path) -> None:
    dump, text = tmp_path / "dump.xml", tmp_path / "text"
    dump.write_bytes(_many(2))
    first = _extract(dump, text)
    stamp = (text / "manifest.json").stat().st_mtime_ns
    again = _extract(dump, text, processes=2)
    assert again == first
    assert (text / "manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="other settings"):
        _extract(dump, text, shard=50_000)
    # Same name and size, so that only the bytes tell.
    dump.write_bytes(_many(2).replace(b"This", b"That"))
    with pytest.raises(ValueError, match="another dump"):
        _extract(dump, text)


def test_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    dump, text = tmp_path / "dump.xml", tmp_path / "text"
    dump.write_bytes(_many(1))
    text.mkdir()
    (text / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        _extract(dump, text)
    assert [file.name for file in text.iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="not a folder"):
        _extract(dump, dump)


def test_command_prints_its_summary(tmp_path: Path) -> None:
    dump = tmp_path / "dump.xml"
    dump.write_bytes(_many(2))
    done = _command(
        f"--dump={dump}", f"--text={tmp_path / 'text'}", "--num_processes=2"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["articles"] == 2


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"<mediawiki></mediawiki>", "no article"),
        (bz2.compress(_many(9))[:-30], "cut short"),
        (_many(9)[:-500], "cut short"),
        (b"\x80\x81", "byte offset 0"),
        (b'{"text": ', "line 1"),
    ],
    ids=["missing", "empty", "no article", "bz2", "XML", "UTF-8", "JSON"],
)
def test_bad_dump_gives_one_clear_line(
    tmp_path: Path, data: bytes | None, cause: str
) -> None:
    dump = tmp_path / "dump"
    if data is not None:
        dump.write_bytes(data)
    done = _command(
        f"--dump={dump}", f"--text={tmp_path / 'text'}", "--num_processes=2"
    )
    assert done.returncode != 0
    assert done.stdout == ""
    errors = [x for x in done.stderr.splitlines() if "error:" in x]
    assert len(errors) == 1
    assert str(dump) in errors[0] and cause in errors[0]
    assert "Traceback" not in done.stderr
    assert {file.name for file in tmp_path.iterdir()} <= {"dump"}


def test_killed_run_leaves_no_text_and_no_process(tmp_path: Path) -> None:
    dump, text = tmp_path / "dump.xml", tmp_path / "text"
    dump.write_bytes(_many(300))
    run = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tfdistill.extract_wikipedia",
            f"--dump={dump}",
            f"--text={text}",
            "--num_processes=2",
        ],
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        start_new_session=True,
    )
    partial = tmp_path / "text.partial"
    while not (partial / "text-00000.txt").exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    # The pipe closes when the last process that holds it has ended.
    run.communicate(timeout=30)
    assert not text.exists() and partial.exists()
    dump.write_bytes(_many(1))
    assert _extract(dump, text)["articles"] == 1
    assert not partial.exists()
