"""The article's claims as part of the workflow: asked for by name, on MNIST only."""

from pipeline import Workspace
from samebits import claims

PAGE = "results/article/claims.html"
DRY = ("--dry-run", "--quiet", "rules")


def test_the_page_asks_for_every_claim_on_three_frameworks(workspace: Workspace) -> None:
    rows = [line.split() for line in workspace.snakemake(PAGE, *DRY).splitlines()]
    counts = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    assert counts["claim"] == 3 * len(claims.CLAIMS)
    assert counts["claims"] == 1
    assert "train" not in counts


def test_a_certificate_asks_for_no_claim(workspace: Workspace) -> None:
    assert "claim" not in workspace.snakemake(*DRY).replace("claims", "")


def test_other_data_than_the_articles_is_refused(workspace: Workspace) -> None:
    said = workspace.snakemake(PAGE, *DRY, "--config", "data=synthetic", check=False)
    assert "leave data out of --config" in said
