"""BERT's tokenizer as TensorFlow operations: text to features in a graph.

It does what `text.word_pieces` and `text.joining` do in Python.
"""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_text

from tfdistill.text.word_pieces import MAX_WORD_LENGTH, WordPiece

# Control and format characters but tab and line ends, and U+FFFD.
_DROPPED = (
    r"[\x{00}-\x{08}\x{0b}\x{0c}\x{0e}-\x{1f}\x{7f}-\x{9f}\p{Cf}\x{fffd}]"
)


def tokenize_in_graph(
    tokenizer: WordPiece, texts: Sequence[tf.Tensor], length: int
) -> dict[str, tf.Tensor]:
    """Turn sentences, or pairs, into a model's features.

    Args:
        tokenizer: The tokenizer.
        texts: Strings `[B]`, UTF-8; one tensor, or two of pairs.
        length: L, tokens at most; what is too long is cut as in training.

    Returns:
        `input_ids`, `input_mask`, `segment_ids`, int32 `[B, M]`, where M is
        the length of the longest example.
    """
    pieces = tensorflow_text.FastBertTokenizer(
        list(tokenizer.vocabulary), max_bytes_per_word=MAX_WORD_LENGTH
    )
    is_uncased = tokenizer.settings["do_lower_case"]
    found = [
        tf.cast(pieces.tokenize(_normalized(x, is_uncased)), tf.int32)
        for x in texts
    ]
    found = _cut(found, length - 1 - len(found))
    rows = found[0].nrows()
    first = tf.fill([rows, 1], tokenizer.cls_id)
    end = tf.fill([rows, 1], tokenizer.sep_id)
    joined = tf.concat([first, found[0], end], axis=1)
    firsts = joined.row_lengths()
    if len(found) > 1:
        joined = tf.concat([joined, found[1], end], axis=1)
    lengths = joined.row_lengths()
    ids = joined.to_tensor()
    places = tf.range(tf.shape(ids, tf.int64)[1])[None]
    is_token = places < lengths[:, None]
    is_second = (places >= firsts[:, None]) & is_token
    return {
        "input_ids": ids,
        "input_mask": tf.cast(is_token, tf.int32),
        "segment_ids": tf.cast(is_second, tf.int32),
    }


def _normalized(text: tf.Tensor, is_uncased: bool) -> tf.Tensor:
    text = tf.strings.regex_replace(text, _DROPPED, "")
    if is_uncased:
        text = tf.strings.lower(text, encoding="utf-8")
        text = tensorflow_text.normalize_utf8(text, "NFD")
        text = tf.strings.regex_replace(text, r"\p{Mn}", "")
    return text


def _cut(pieces: list[tf.RaggedTensor], room: int) -> list[tf.RaggedTensor]:
    """Cut as `text.joining.cut_to` does, one token at a time, in one go.

    Where both of a pair are too long, halves are left, of an odd number one
    more to the first.
    """
    if len(pieces) == 1:
        return [pieces[0][:, :room]]
    first, second = pieces
    firsts, seconds = (x.row_lengths() for x in pieces)
    keeps_second = tf.minimum(seconds, tf.maximum(room - firsts, room // 2))
    keeps_first = tf.minimum(firsts, room - keeps_second)
    return [_shortened(first, keeps_first), _shortened(second, keeps_second)]


def _shortened(pieces: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    places = tf.ragged.range(pieces.row_lengths())
    stays = places < tf.cast(lengths, places.dtype)[:, None]
    return tf.ragged.boolean_mask(pieces, stays)
