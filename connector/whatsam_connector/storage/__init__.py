"""The only modules that talk to PostgreSQL and to the Kubernetes API."""
