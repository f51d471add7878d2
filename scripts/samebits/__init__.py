"""What two or more stages share.

Modules that ``scripts/train.py`` imports run on Python 3.7 to 3.13; the rest asks for 3.11.
"""
