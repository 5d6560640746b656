"""Looking at data: what a set holds, what is wrong in it, and what a model will see of it.

Nothing is imported here: worker processes that read records need `validation` alone.
"""
