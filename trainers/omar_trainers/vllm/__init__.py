"""Sampling with vLLM: on GPUs through TRL, in this process or from a server; and on the CPU."""
