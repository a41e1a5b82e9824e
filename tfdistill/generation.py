"""Writes texts with a model, line by line."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfdistill.config.options import Decoding
from tfdistill.decoding import Hypotheses
from tfdistill.models.formats import LoadedModel
from tfdistill.models.seq2seq import Seq2Seq
from tfdistill.progress import Progress
from tfdistill.records.padding import fine_grid, padded_length
from tfdistill.text.shared_pieces import UNKNOWN_ID, SharedPieces

# Lines that are read before the first of them is written.
_LINES_AT_ONCE = 2048


class Writer:
    """Writes a target for each source."""

    def __init__(
        self,
        model: LoadedModel,
        decoding: Decoding,
        *,
        max_source_length: int,
        batch_size: int,
    ) -> None:
        """Bind a model to how its texts are searched for.

        Args:
            model: A seq2seq model.
            decoding: How.
            max_source_length: Pieces that are read of a source.
            batch_size: Sources at a time.

        Raises:
            ValueError: The model writes no texts.
        """
        if not isinstance(model.model, Seq2Seq):
            raise ValueError(
                "The model of --run_dir writes no texts: seq2seq models do."
            )
        self._model = model.model
        self._pieces: SharedPieces = model.tokenizer  # type: ignore[assignment]
        self._decoding = decoding
        self._most = max_source_length
        self._batch_size = batch_size
        self._grid = tf.constant(fine_grid(max_source_length))
        self._search = tf.function(
            functools.partial(
                self._model.generate,
                beam_size=decoding.beam_size,
                max_length=decoding.max_decode_length,
                alpha=decoding.length_penalty,
            ),
            autograph=False,
        )
        self.cut = 0

    def write(
        self, sources: Iterable[str], total: int | None = None
    ) -> Iterator[str]:
        """Yield the target of each source; an empty one has an empty one.

        Args:
            sources: Lines, which are read some thousands at a time.
            total: How many there are, for the progress bar.

        Yields:
            Lines, in the order of the sources.
        """
        lines = iter(sources)
        with Progress("writing", total, unit=" lines") as progress:
            while some := list(itertools.islice(lines, _LINES_AT_ONCE)):
                texts = [""] * len(some)
                pieces = self._pieces.split(some)
                self.cut += sum(len(row) > self._most for row in pieces)
                # Those of like length together.
                order = sorted(
                    (i for i, row in enumerate(pieces) if row),
                    key=lambda i: -len(pieces[i]),
                )
                for start in range(0, len(order), self._batch_size):
                    numbers = order[start : start + self._batch_size]
                    rows = [pieces[i][: self._most] for i in numbers]
                    for i, text in zip(numbers, self._texts(rows), strict=True):
                        texts[i] = text
                    progress.advance(len(numbers))
                progress.advance(len(some) - len(order))
                yield from texts

    def _texts(self, rows: Sequence[Sequence[str]]) -> Iterator[str]:
        ids = [self._pieces.ids(row) for row in rows]
        # All batches have as many rows, as each size needs its own graph.
        ids += [ids[0]] * (self._batch_size - len(ids))
        counts = tf.constant([len(row) for row in ids])
        length = int(padded_length(counts, self._grid))
        padded = np.zeros((len(ids), length), np.int32)
        for i, own in enumerate(ids):
            padded[i, : len(own)] = own
        found = Hypotheses(
            *(
                x.numpy()
                for x in self._search(
                    {
                        "input_ids": tf.constant(padded),
                        "input_mask": tf.sequence_mask(
                            counts, length, tf.int32
                        ),
                    }
                )
            )
        )
        for i, row in enumerate(rows):
            yield self._text(
                found.ids[i, : found.lengths[i]], found.attended[i], row
            )

    def _text(
        self, ids: np.ndarray, attended: np.ndarray, source: Sequence[str]
    ) -> str:
        names = self._pieces.vocabulary
        written = []
        for number, place in zip(ids.tolist(), attended.tolist(), strict=False):
            is_copied = number == UNKNOWN_ID and self._decoding.replace_unknown
            # Attention to padding, of a model that knows nothing, is none.
            if is_copied and place < len(source):
                written.append(source[place])
            else:
                written.append(names[number])
        return self._pieces.detokenize(written)
