"""What each step of transfer brings, measured: `python -m benchmarks.transfer.NAME` for each NAME below.

* `label_efficiency`: accuracy over the number of labels, from scratch, pretrained, and adapted; IMDb and NSMC.
* `ablation`: each trick of Howard and Ruder 2018 taken back.
* `forgetting`: what adaptation and a second task make a model forget, and what replay, L2-SP and small rates save.
* `tagging_parsing`: tags, chunks and trees, from scratch and pretrained.
* `shakespeare`: nanoGPT's CPU setting, character by character.

Every run is a list of cells (an arm, a number of labels, a seed). A finished cell is one JSON file, so a benchmark that
was broken off goes on where it stopped, and the tables and plots are made of these files alone. `--quick` runs all of
it in minutes on a fraction of the data, to see that it works; its numbers mean nothing. Choices are made on validation
rows; the test rows are scored once, at the end, with `--test`.
"""
