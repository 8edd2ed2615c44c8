"""The connector's HTTP API, inside the cluster only."""
