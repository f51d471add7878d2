"""Without any of this, no two trainings are equal."""

from article import train

for _ in range(2):
    print("history:", train())
