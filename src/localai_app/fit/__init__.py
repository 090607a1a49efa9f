"""Pure functions from (hardware, model, request) to a verdict with its parts, reasons and load options."""
