# One client reads what all the others wrote: after the suites clients and java.
clients "$boot" everybody
