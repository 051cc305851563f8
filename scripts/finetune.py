"""`python scripts/finetune.py ...` is `hf-vanilla finetune ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "finetune")
    sys.exit(main())
