"""Files that are written whole or not at all, and safe reading of files from outside."""
