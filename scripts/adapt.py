"""`python scripts/adapt.py ...` is `hf-vanilla adapt ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "adapt")
    sys.exit(main())
