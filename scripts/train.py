"""`python scripts/train.py ...` is `hf-vanilla train ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    sys.exit(main())
