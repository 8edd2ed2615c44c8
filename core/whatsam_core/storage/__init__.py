"""The only modules of the core that import client libraries: the Kubernetes API and the object store."""
