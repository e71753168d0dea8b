"""Everything Lite-LLM4Rec is compared with."""
