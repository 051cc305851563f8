"""`python scripts/convert.py ...` is `hf-vanilla convert ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "convert")
    sys.exit(main())
