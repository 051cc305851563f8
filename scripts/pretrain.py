"""`python scripts/pretrain.py ...` is `hf-vanilla pretrain ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "pretrain")
    sys.exit(main())
