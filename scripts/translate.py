"""`python scripts/translate.py ...` is `hf-vanilla translate ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "translate")
    sys.exit(main())
