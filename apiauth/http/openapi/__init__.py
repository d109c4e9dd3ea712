"""The JSON doors' description of themselves: OpenAPI 3.1 documents, and pages made from them."""
