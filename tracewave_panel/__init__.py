"""Watch a live public feed, be told when something unusual happens, be told why, and check it yourself."""
