"""superlink links any multimodal LLM to task decoders."""
