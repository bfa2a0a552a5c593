"""A GPU that is not there: the kernels on the host, and a stand-in for CuPy over it."""
