"""What users write: markers and security schemes, and the options of routes. Data only; nothing here is inspected or run."""
