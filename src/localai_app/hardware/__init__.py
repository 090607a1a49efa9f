"""What this computer has: one fail-safe probe per file, one frozen report."""
