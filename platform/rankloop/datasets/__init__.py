"""Public dataset layouts, folders and lists, read into one form."""
