"""BERT, its weights by name, and the formats they are read from."""
