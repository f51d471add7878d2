"""Setting the hash seed inside the program is too late: it counts only when set before the
interpreter starts."""

import os

print("hash:", hash("x"))
os.environ["PYTHONHASHSEED"] = "0"
print("hash:", hash("x"))
