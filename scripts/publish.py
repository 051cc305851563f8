"""`python scripts/publish.py ...` is `hf-vanilla publish ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "publish")
    sys.exit(main())
