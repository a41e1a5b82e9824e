"""Text: from a Wikipedia dump to documents of one sentence a line."""
