"""The Django door, in real projects behind real servers."""
