"""Storage: the only modules that know PostgreSQL, Redis, Kubernetes or HTTP clients."""
