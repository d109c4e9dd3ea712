WHERE digest = ANY (%(digests)s)
