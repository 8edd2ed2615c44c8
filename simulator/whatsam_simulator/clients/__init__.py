"""The parts of the control API's Python client; `whatsam_simulator.client` puts them together."""
