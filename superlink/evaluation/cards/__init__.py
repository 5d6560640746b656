"""Result cards: numbers, what they were made with, and pictures, in files that others can read."""

from .card import ResultCard
from .cases import draw_cases, extreme_cases, first_cases
from .collection import cards_page, find_cards
from .paper import PaperFigure, benchmark_names, check_benchmark, compare
from .spread import JudgedClaim, Spread
from .surroundings import hardware, versions

__all__ = [
    "JudgedClaim",
    "PaperFigure",
    "ResultCard",
    "Spread",
    "benchmark_names",
    "cards_page",
    "check_benchmark",
    "compare",
    "draw_cases",
    "extreme_cases",
    "find_cards",
    "first_cases",
    "hardware",
    "versions",
]
