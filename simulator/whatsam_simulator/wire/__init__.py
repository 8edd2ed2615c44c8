"""Encodings on the wire: binary XML, protobuf, and where its token tables come from."""
