"""Files that are whole or not there, and text from outside that is not believed."""
