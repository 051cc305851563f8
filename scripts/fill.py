"""`python scripts/fill.py ...` is `hf-vanilla fill ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "fill")
    sys.exit(main())
