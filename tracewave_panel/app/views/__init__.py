"""One Viewer a file; views do not know each other."""
