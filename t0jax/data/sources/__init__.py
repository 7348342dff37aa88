"""Where rows come from: the doors that are tried, in the order that a user sets."""
