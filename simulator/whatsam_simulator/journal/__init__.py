"""What the simulator saw: who held which device, every message, every Signal counter, every violation."""
