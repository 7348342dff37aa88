"""What breaks wordings: templates against the rows that they are for."""
