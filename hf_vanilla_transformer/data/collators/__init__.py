"""From rows to batches: padding, masking and corruption, one collator per training objective."""
