"""What is measured on clips: quality a frame, flicker, ghosts, and the time of a frame."""
