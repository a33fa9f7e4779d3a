"""What a person asks for, callable from Python with the names of the commands."""
