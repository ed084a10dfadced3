// The time that the runtime itself takes.
