"""What networks do to pictures, and what protects pictures from them."""
