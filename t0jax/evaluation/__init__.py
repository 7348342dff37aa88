"""Choices scored, prompts answered, and the files that an evaluation leaves."""
