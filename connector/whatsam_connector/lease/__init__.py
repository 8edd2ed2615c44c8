"""The Lease of this boot: renewed, and what follows when it cannot be."""
