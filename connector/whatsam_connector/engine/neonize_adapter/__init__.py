"""neonize behind the engine's protocol. The only place of the project that imports neonize, one file a question.

Its defects shape this package (see docs on neonize): the library is never stopped but left with the process, a client
is only called after every client of the process has started, and any exception out of `connect()` ends the process.
"""
