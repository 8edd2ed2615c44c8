"""The one process that everything of a local cluster runs under.

It is pid 1 of a pid namespace, so its end is the end of every part, pod and helper; mounts and links vanish with the
namespaces it holds. It starts parts as its plan says, remembers how they ended, and obeys a control socket. It never
restarts a part by itself: a dead part is something to be seen.
"""
