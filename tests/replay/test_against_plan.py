"""The user's own experiment compared with a certificate, as it is planned."""

from pathlib import Path
from typing import Any

import pytest

import certificates
from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from samebits.workflow import plan
from samebits.workflow.plan import Plan

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    path = tmp_path / "golden.json"
    report: Any = certificates.reproducible()
    report["records"]["runs"]["control"]["config"] = plan.plan({}, CONF).first.config
    canonical.write_json(path, certificates.unsigned(report))
    return path


def planned(golden: Path, **more: Any) -> Plan:
    return plan.plan({"against": str(golden), **more}, CONF)


def test_the_experiment_is_the_users_and_each_key_that_differs_is_a_note(golden: Path) -> None:
    made = planned(golden, overrides="trainer.epochs=5 model.units=64")
    assert (
        made.first.config
        == plan.plan({"overrides": "trainer.epochs=5 model.units=64"}, CONF).first.config
    )
    assert made.announced([]) == [
        "note: model.units: the certificate has 128, you 64",
        "note: trainer.epochs: the certificate has 3, you 5",
    ]
    assert planned(golden).announced([]) == []


def test_it_has_a_folder_of_its_own_and_one_result(golden: Path) -> None:
    made = planned(golden, bits="same")
    assert made.name == f"against-{files.digest(golden)[:12]}"
    assert made.outputs == [f"results/{made.name}/against.json"]
    assert made.replay is not None and made.replay.same
    assert planned(golden).replay != made.replay


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"bits": "other"}, 'bits: expected bits=same, got "other"'),
        ({"certificate": "c.zip"}, "certificate: is for a replay"),
        ({"epochs": 1}, "epochs: is for a replay"),
        ({"sweep": "seed=1,2"}, "sweep: a certificate is compared with one experiment"),
        ({"against": "/no/such.zip"}, "/no/such.zip: cannot be compared with"),
        ({"against": None, "bits": "same"}, "bits: expected against=PATH with it"),
    ],
)
def test_what_cannot_be_meant_is_refused(golden: Path, config: Any, said: str) -> None:
    with pytest.raises(SamebitsError) as caught:
        plan.plan({"against": str(golden), **config}, CONF)
    assert said in str(caught.value)


def test_a_certificate_without_a_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unsupported.json"
    canonical.write_json(path, certificates.unsigned(certificates.unsupported()))
    with pytest.raises(SamebitsError, match="did not complete"):
        planned(path)
