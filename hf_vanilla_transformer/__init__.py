"""The Transformer of "Attention Is All You Need" and its two halves as first-class Hugging Face models."""
