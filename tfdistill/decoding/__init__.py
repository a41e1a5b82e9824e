"""Search for the text that a model thinks most of."""

from tfdistill.decoding.beam import Hypotheses, beam_search, length_penalty

__all__ = ["Hypotheses", "beam_search", "length_penalty"]
