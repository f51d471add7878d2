"""What the page says of a program: its calls, models, optimizers, files, and what has no trace."""

import copy
from typing import Any

import pytest

from samebits.pages import certificate as page
from samebits.pages import program

EVIL = "<script>alert(1)</script>"
CALL: dict[str, Any] = {
    **{"model": 0, "epochs": None, "steps": 0, "metrics": {}},
    **{"uncompared": [], "sha256": "a" * 64},
}
PROGRAM: dict[str, Any] = {
    "words": ["train.py", "--name", "a b"],
    "kind": "file",
    "exit": 0,
    "calls": [
        CALL
        | {"n": 1, "what": "fit", "times": 1, "epochs": 2, "metrics": {"loss": 0.25}}
        | {"uncompared": ["[0] (generator)"]},
        CALL | {"n": 2, "what": "train_on_batch", "times": 4000, "steps": 4000},
    ],
    "models": [{"name": EVIL, "class": "Sequential", "weights": 4}],
    "optimizers": [{"name": "adam", "class": "Adam", "steps": 1234, "variables": 10}],
    "untraced": ["ema/kernel"],
    "lost": 12,
    "pins": [{"name": "intra-op threads", "expected": 1, "effective": 4}],
    "inputs": [],
    "outputs": [{"path": EVIL, "sha256": "b" * 64, "compared": True, "as": "arrays"}],
    "fetched": [{"url": "http://a/b", "name": "b", "sha256": "c" * 64, "pinned": False}],
    "undeclared": ["/etc/words"],
    "isolation": {"network": "the machine's: the kernel permits no other way (no)"},
    "connections": ["10.0.0.1:80"],
}


@pytest.fixture
def certificate(issued: Any) -> Any:
    made = copy.deepcopy(issued)
    for run in made["report"]["records"]["runs"].values():
        run["program"] = copy.deepcopy(PROGRAM)
    return made


def test_what_a_program_did_is_on_the_page_and_nothing_of_it_is_markup(certificate: Any) -> None:
    html = page.render(certificate)
    assert EVIL not in html and html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    for said in (
        "train.py --name &#39;a b&#39;",
        "4,000 times",
        "1,234",
        "its arrays",
        "http://a/b",
    ):
        assert said in html
    assert "files that it wrote" in html and "started once more" in html


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("Set by the program itself", "intra-op threads: 4"),
        ("Changed by no optimizer", "ema/kernel: loaded, or updated by hand"),
        ("Returned and not compared", "1 fit <script>alert(1)</script>: [0] (generator)"),
        ("Trace", "12 rows"),
        ("Files that inputs do not name", "/etc/words"),
        ("Downloads without a known digest", "http://a/b"),
        ("Connections", "10.0.0.1:80"),
        ("Not kept apart", "network: the machine's"),
    ],
)
def test_what_limits_the_result_is_on_the_first_page(
    certificate: Any, what: str, said: str
) -> None:
    standing = dict(program.standing(certificate["report"]))
    assert said in standing[what]


def test_of_a_model_nothing_of_this_is_said(issued: Any) -> None:
    assert program.described(issued["report"]) is None
    assert list(program.standing(issued["report"])) == []
    assert "What the program did" not in page.render(issued)
