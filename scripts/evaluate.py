"""`python scripts/evaluate.py ...` is `hf-vanilla evaluate ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "evaluate")
    sys.exit(main())
