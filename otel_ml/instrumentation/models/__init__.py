"""Libraries that run models: one module each, independent of one another, each its own entry point."""
