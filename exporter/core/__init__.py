"""The rules: who is alive, which transition, which deadline.

Pure. Nothing here reads a clock, opens a socket, writes a log line or looks at the environment; what
it needs is handed in, what it decides is handed out. tests/repository/test_layers.py holds it to that.

    model       what a worker is and what is remembered of it
    events      what can happen
    effects     what the shell has to do about it
    lifecycle   the transition table
    deadlines   who has to be looked at when
    groups      what is counted by group
    fleet       all of it together: receive(), advance(), effects(), snapshot()
"""
