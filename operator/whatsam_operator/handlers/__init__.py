"""How the world reaches the operator: kopf's watch events and the health endpoint."""
