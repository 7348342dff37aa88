"""The command line: parse, open, call. Importing it loads neither JAX nor TensorFlow."""


def main() -> int:
    """Run one command; the exit status."""
    return 0
