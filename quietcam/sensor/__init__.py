"""What a camera does to light: noise, its image pipeline, and scenes to look at."""
