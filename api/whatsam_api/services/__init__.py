"""Services: what the API decides and in which order it does things."""
