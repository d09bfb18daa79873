"""Plans become callables here: interpreted step by step, or compiled to straight-line Python; and routes become a table."""
