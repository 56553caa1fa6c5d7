"""The command line: `python -m lmstream_sync COMMAND`.

`commands.py` reads the arguments; `demo.py` is the command of that name, `demo_program.py` what
it serves, `demo_script.py` what its model says where no real one is asked.
"""
