"""`python scripts/classify.py ...` is `hf-vanilla classify ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "classify")
    sys.exit(main())
