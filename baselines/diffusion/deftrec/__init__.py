"""DeftRec: items as continuous tokens of a prompt, an answer in words, and a diffusion that turns it into a vector."""
