"""The crossing between threads: any coroutine or asynchronous iterator on one loop thread,
its events read in any other.

`loop` has the thread, `channel` the queue, `call` one running call, `stream` its reader's
side, `crossing` what brings code to the loop, `workers` what brings it to a worker thread.
Who waits in a thread does so by `waiting` (a `flag` is what he may wait for), who waits on a
loop of his own by `wakeups`.
This package knows nothing of language models.
"""
