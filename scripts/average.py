"""`python scripts/average.py ...` is `hf-vanilla average ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "average")
    sys.exit(main())
