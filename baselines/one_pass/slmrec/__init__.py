"""SLMRec: a few layers of a Llama, taught block by block by a deeper one."""
