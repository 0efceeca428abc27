"""Who owns which memory, around upstream's one-shot bufferization.

Kernels write through ``bufferization.to_buffer``, which upstream's analysis does not follow. So before it,
``protect_arguments`` keeps arguments from being written, ``destination`` says where a kernel writes its result, and
``reads`` asks for memory again where it may have been reused; behind it, ``hoist_deallocations`` gives memory back.
"""
