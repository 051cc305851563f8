"""`python scripts/card.py ...` is `hf-vanilla card ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "card")
    sys.exit(main())
