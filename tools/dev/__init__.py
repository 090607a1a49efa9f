"""What dev.py does, one subject per module, standard library only."""
