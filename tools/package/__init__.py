"""Makes what people download: the engine, the application bundle, installers and runtime packs."""
