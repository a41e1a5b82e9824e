"""The command that turns a Wikipedia dump into text.

    python -m tfdistill.extract_wikipedia --dump=FILE --text=DIR

The text is a folder of shards with one sentence per line and a blank line
after each article, and a manifest. What is written depends on the dump and
--text_shard_bytes alone, not on the number of processes.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from absl import logging

from tfdistill.config import run_command
from tfdistill.config.options import Artefacts, Corpus, General
from tfdistill.progress import Progress
from tfdistill.text.documents import MANIFEST, read_manifest
from tfdistill.text.parallel import map_in_order, process_count
from tfdistill.text.text_writer import TextWriter
from tfdistill.text.wikipedia import Article, Wikipedia

# Work that is sent to a process at once; small enough to balance the load.
BATCH_CHARACTERS = 200_000


@dataclasses.dataclass(frozen=True)
class Extracted:
    """Sentences of one article, or why it could not be read."""

    title: str
    sentences: list[str]
    failure: str = ""


def extract_wikipedia(
    artefacts: Artefacts, general: General, corpus: Corpus
) -> dict[str, Any]:
    """Turn a Wikipedia dump into one sentence per line.

    Args:
        artefacts: Reads `dump`, writes `text`.
        general: Uses `num_processes`.
        corpus: Uses `text_shard_bytes`.

    Returns:
        Counts of articles, pages skipped, sentences, bytes and shards.

    Raises:
        OSError: A file is missing or cannot be written.
        ValueError: The dump is damaged or holds no articles, or the folder
            holds something else.
    """
    wikipedia = Wikipedia(artefacts.dump)
    folder = Path(artefacts.text)
    settings = {"text_shard_bytes": corpus.text_shard_bytes}
    manifest = _finished(folder, wikipedia, settings)
    if manifest is None:
        with TextWriter(folder, corpus.text_shard_bytes) as writer:
            left_out = _extract(wikipedia, writer, general.num_processes)
            source = {
                "name": wikipedia.name,
                "size": wikipedia.size,
                "sha256": wikipedia.sha256(),
            }
            manifest = writer.finish(
                {"left_out": left_out, "source": source, "settings": settings}
            )
    return {
        "articles": manifest["articles"],
        **manifest["left_out"],
        "sentences": manifest["sentences"],
        "bytes": manifest["bytes"],
        "shards": len(manifest["shards"]),
    }


def extract_batch(batch: list[Article]) -> list[Extracted]:
    """Extract the sentences of articles; a failing one harms no other."""
    return [_extract_article(article) for article in batch]


def _extract_article(article: Article) -> Extracted:
    try:
        return Extracted(article.title, article.sentences())
    # Among millions of pages some break the parser in ways not foreseen.
    except Exception as error:
        cause = str(error) or type(error).__name__
        return Extracted(article.title, [], cause)


def _finished(
    folder: Path, wikipedia: Wikipedia, settings: dict[str, Any]
) -> dict[str, Any] | None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: exists and is not a folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return None
    manifest = read_manifest(folder)
    if manifest is None:
        raise ValueError(
            f"{folder}: the folder is not empty and has no {MANIFEST}. "
            "Choose another --text, or remove it."
        )
    source = manifest.get("source", {})
    if (
        manifest.get("settings") != settings
        or (source.get("name"), source.get("size"))
        != (wikipedia.name, wikipedia.size)
        or source.get("sha256") != wikipedia.sha256()
    ):
        raise ValueError(
            f"{folder}: holds the text of another dump, or one made with "
            "other settings. Choose another --text, or remove it."
        )
    logging.info("%s is finished already, nothing is done.", folder)
    return manifest


def _extract(
    wikipedia: Wikipedia, writer: TextWriter, num_processes: int
) -> dict[str, int]:
    written = empty = unreadable = 0
    with Progress("extracting", wikipedia.size, unit="B", scale=True) as bar:
        shown = 0
        for batch in map_in_order(
            extract_batch,
            _batches(wikipedia),
            process_count(num_processes),
        ):
            for extracted in batch:
                if extracted.failure:
                    unreadable += 1
                    logging.warning(
                        "Left out %r: %s.", extracted.title, extracted.failure
                    )
                elif extracted.sentences:
                    written += 1
                    writer.add(extracted.sentences)
                else:
                    empty += 1
            bar.advance(wikipedia.consumed - shown, f"{written:,} articles")
            shown = wikipedia.consumed
    if not written:
        raise ValueError(f"{wikipedia.path}: there is no article in it.")
    return {
        "redirects": wikipedia.skipped["redirects"],
        "other_namespaces": wikipedia.skipped["other_namespaces"],
        "empty_articles": empty,
        "unreadable_articles": unreadable,
    }


def _batches(articles: Iterable[Article]) -> Iterator[list[Article]]:
    batch: list[Article] = []
    characters = 0
    for article in articles:
        batch.append(article)
        characters += len(article.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


if __name__ == "__main__":
    run_command(
        extract_wikipedia,
        Artefacts,
        General,
        Corpus,
        needs=("dump", "text"),
        examples=(
            "--dump=enwiki-latest-pages-articles.xml.bz2 --text=text",
            "--flagfile=configs/smoke/wiki.flags --num_processes=2",
        ),
    )
