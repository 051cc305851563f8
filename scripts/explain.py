"""`python scripts/explain.py ...` is `hf-vanilla explain ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "explain")
    sys.exit(main())
