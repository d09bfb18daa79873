"""Names under which other frameworks' users look for things. Re-exports only; nothing in tercel imports this package."""
