"""The shipper: a child process of the connector that copies the sessions' databases into the object store."""
