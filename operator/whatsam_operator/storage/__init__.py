"""What the operator reads and writes: the Kubernetes API and the object store."""
