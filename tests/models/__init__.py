"""Tests of the interface and Lite-LLM4Rec."""
