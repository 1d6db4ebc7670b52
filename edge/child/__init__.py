"""Foreign code in a child process: it may hang, crash or take all memory, and frames go on."""
