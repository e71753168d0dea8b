"""``python -m bench.gate``: may this change be merged, as far as latency, cost and answers go?"""
