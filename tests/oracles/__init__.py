"""What the answers should be: slow, obvious NumPy, written from the definitions alone."""
