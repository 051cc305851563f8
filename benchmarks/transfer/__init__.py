"""The gain by each step of transfer learning: `python -m benchmarks.transfer.NAME` for each NAME below.

* `label_efficiency`: accuracy over the number of labels, from scratch, pretrained, and adapted; IMDb and NSMC.
* `bag_of_words`: accuracy of a bag of words over the number of labels; IMDb, NSMC and RT polarity.
* `ablation`: the effect of each technique of Howard and Ruder 2018.
* `forgetting`: forgetting by adaptation and by a second task, with and without replay, L2-SP and small rates.
* `tagging_parsing`: tags, chunks and trees, from scratch and pretrained.
* `published_encoder`: learning rates for fine-tuning a published encoder on few labels.
* `shakespeare`: nanoGPT's CPU setting, with characters as tokens.
* `new_user`: the commands of docs/walkthrough.ko.md on NSMC.

A benchmark is a list of cells (an arm, a number of labels, a seed). Each finished cell is a JSON file, so an
interrupted benchmark resumes where it stopped, and the tables and plots use these files only. `--quick` runs a
benchmark in minutes on a fraction of the data, to test that it works; its numbers have no meaning. Choices are made on
validation rows; the test rows are scored once, at the end, with `--test`.
"""
