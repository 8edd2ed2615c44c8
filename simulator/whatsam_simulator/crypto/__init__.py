"""Keys, Noise, and the Signal protocol as far as phones and contacts need it."""
