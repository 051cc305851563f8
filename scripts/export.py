"""`python scripts/export.py ...` is `hf-vanilla export ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "export")
    sys.exit(main())
