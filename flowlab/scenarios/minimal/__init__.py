"""The place of the smallest programs: of each, the number of its interleavings is known exactly.

A lost update, a dirty read and their kind are not stories that are told in class but questions to
explore exhaustively, so they are not among `SCENARIOS`.
"""
