"""Routes described as an OpenAPI 3.1 document, and the pages that show it. Reads declarations, never requests."""
