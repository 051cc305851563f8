"""From rows to batches: padding, packing, masking and corruption, one collator per training objective."""
