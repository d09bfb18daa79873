"""The vocabulary of HTTP that every stage shares: exchanges, responses, bodies and errors. Knows nothing of routes."""
