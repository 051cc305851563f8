"""`python scripts/doctor.py ...` is `hf-vanilla doctor ...`."""

import sys

from hf_vanilla_transformer.commands.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "doctor")
    sys.exit(main())
