"""Outcomes for people: a table, JSON lines, a picture, a page."""
