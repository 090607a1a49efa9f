"""What the frozen program runs first."""

import os
import sys


def main() -> int:
    """Start Local AI with the variables of the user's own session."""
    _restore_library_path()
    from localai_app.__main__ import main as run

    return run()


def _restore_library_path() -> None:
    """Undo for child processes what the bootloader set for this one: a browser that it opens needs its own libraries."""
    # Without the path, a child of this program's own has to be told to set it anew; else it finds no library of the bundle.
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        original = os.environ.pop(f"{name}_ORIG", None)
        if original is not None:
            os.environ[name] = original
        else:
            os.environ.pop(name, None)


if __name__ == "__main__":
    sys.exit(main())
