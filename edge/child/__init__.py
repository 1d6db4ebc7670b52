"""Child processes for foreign code: if it hangs, crashes or takes all memory, frames go on."""
