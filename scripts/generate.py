"""`python scripts/generate.py ...` is `hf-vanilla generate ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "generate")
    sys.exit(main())
