"""`python -m t0jax` is the command `t0jax`."""

import sys

from t0jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
