"""The page says what a certificate says, of any kind, and can draw any divergence."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import atlases
import certificates
import factories
from certificates import KINDS, TENSORS, Report, divergence
from samebits.certificate import schema
from samebits.formats import canonical
from samebits.pages import certificate, wording
from samebits.pages import runs as compared

HOSTILE = "<script>alert(1)</script>"
ANNEXES = ["compared", "varied", "pinned", "environment", "evidence"]
SECTIONS = {
    "divergence": "<h3>Where the runs part</h3>",
    "differences": "<h3>Differences</h3>",
    "varied": '<table class="varied">',
    "pins": "<h3>Which pins are needed?</h3>",
    "sensitivity": "<h3>Can the comparison detect a difference?</h3>",
    "curves": "<h3>Training curves</h3>",
    "why": "<h3>Why this verdict</h3>",
}
SHOWN = {
    "Reproducible": {"varied", "sensitivity", "curves"},
    "Reproducible, exhaustive": set(SECTIONS) - {"why"},
    "Equal within tolerance": set(SECTIONS) - {"pins"},
    "Not reproducible": set(SECTIONS),
    "Unsupported": {"why"},
    "Inconclusive": {"sensitivity", "curves", "why"},
}


def first_page(markup: str) -> str:
    """The certificate itself, without its annexes."""
    return markup.partition('<article id="certificate">')[2].partition("</article>")[0]


def text_of(markup: str) -> str:
    """What a reader reads, in one line."""
    body = markup.partition("<body")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split()).replace(" ,", ",")


def rendered(report: Report, signed: bool = True, replays: int = 0) -> str:
    """The page of a report's certificate."""
    return certificate.render(
        certificates.certificate(report, signed, certificates.replays(replays))
    )


def test_a_model_of_the_users_own_is_named_and_a_long_name_ends_lines_between_its_parts() -> None:
    report = certificates.reproducible()
    report["experiment"]["name"] = "mine/model.units=4_seed=<1>"
    report["experiment"]["config"]["model"] = {"option": "custom", "_target_": "mine.network"}
    markup = first_page(rendered(report))
    assert "<dt>Model</dt><dd>mine.network</dd>" in markup
    assert "<dd>mine/<wbr>model.units=4_<wbr>seed=&lt;1&gt;</dd>" in markup


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    """What holds for the page of every certificate."""

    def test_it_is_a_certificate_and_its_sections_are_there(self, kind: str) -> None:
        content = KINDS[kind]()
        assert not list(schema.violations(content, schema.REPORT))
        markup = rendered(content)
        assert {name for name, said in SECTIONS.items() if said in markup} == SHOWN[kind]

    def test_its_annexes_are_closed_and_the_index_leads_to_each(self, kind: str) -> None:
        markup = rendered(KINDS[kind](), replays=3)
        assert re.findall(r'</summary>\s*<div id="(\w+)">', markup) == ANNEXES
        assert re.findall(r'href="#(\w+)"', markup) == ["certificate", *ANNEXES]
        assert "<details open" not in markup
        assert "<details" not in first_page(markup)

    def test_the_order_of_keys_does_not_matter(self, kind: str) -> None:
        made = certificates.certificate(KINDS[kind](), replays=certificates.replays(3))
        again = json.loads(canonical.dumps(made))
        assert certificate.render(again) == certificate.render(made)

    @pytest.mark.parametrize("signed", [True, False])
    def test_whatever_it_quotes_is_escaped(self, kind: str, signed: bool) -> None:
        made = certificates.certificate(KINDS[kind](), signed, certificates.replays(3))
        text = certificate.render(certificates.quoting(HOSTILE, made))
        assert "<script" not in text
        assert text.count(html.escape(HOSTILE)[:20]) == text.count("alert(") > 8

    @pytest.mark.parametrize("replays", [0, 3])
    def test_the_signature_is_below_the_verdict(self, kind: str, replays: int) -> None:
        verdict = kind.partition(",")[0]
        for signed, state in ((True, "Signed by key SHA256"), (False, "UNSIGNED, issued")):
            page = text_of(f"<body>{first_page(rendered(KINDS[kind](), signed, replays))}")
            headline = verdict if signed else f"{verdict} UNSIGNED"
            above = page.partition(state)[0]
            assert f"certificate of reproducibility {headline} " in above
            assert len(above) < 250

    def test_an_unsigned_one_says_so_in_every_place(self, kind: str) -> None:
        markup, verdict = rendered(KINDS[kind](), signed=False), kind.partition(",")[0]
        title = re.findall(r"<title>(.*?)</title>", markup)[0]
        assert title.startswith("UNSIGNED · " + verdict)
        assert '@top-right { content: "UNSIGNED"' in markup  # of each page on paper
        assert 'id="keys"' not in markup
        assert "Signed by" not in markup
        said = text_of(markup)
        assert said.count(f"{verdict} UNSIGNED") == 2  # in the index, and the headline
        places = ("UNSIGNED certificate", "UNSIGNED, issued", "it is UNSIGNED", "UNSIGNED. ")
        assert all(place in said for place in places)

    def test_a_signed_one_is_nowhere_called_unsigned(self, kind: str) -> None:
        assert "UNSIGNED" not in rendered(KINDS[kind](), replays=3)

    def test_it_can_be_read_out(self, kind: str) -> None:
        """Headers have a scope, pictures a name, and what is referred to exists once."""
        text = rendered(KINDS[kind](), replays=3)
        assert all("scope=" in header for header in re.findall(r"<th\b[^>]*>", text))
        assert all(
            re.search(r"aria-(hidden|label|labelledby)=", picture)
            for picture in re.findall(r"<svg\b[^>]*>", text)
        )
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        for names in re.findall(r'aria-labelledby="([^"]+)"', text):
            assert set(names.split()) <= set(ids)


# --- the first page --------------------------------------------------------------------------


def standing(content: Report) -> dict[str, str]:
    """The lines under the verdict."""
    lines = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", first_page(rendered(content)))
    return {html.unescape(what): html.unescape(value) for what, value in lines}


def test_the_first_page_says_what_the_bits_depend_on() -> None:
    content = certificates.dependent()
    lines = standing(content)
    assert lines["Depends on"] == "number of CPUs, CPU"
    assert lines["Repeatable"] == "yes, under identical conditions"
    assert lines["Not tried"] == "clock, order of directory entries"
    for repeatable, cause in (
        (True, "none of the variations on its own"),
        (False, "something that changes from run to run by itself"),
        (None, "unknown"),
    ):
        content["scope"] |= {"depends_on": [], "repeatable": repeatable}
        assert standing(content)["Depends on"] == cause
    assert standing(content)["Repeatable"] == "not tried"


def test_where_no_traced_weight_differs_the_first_page_says_what_does() -> None:
    content = certificates.dependent()
    run = next(run for run in content["comparisons"][1]["runs"] if run["run"] == "with-cpus")
    run["divergence"] = run["divergence"] | {"step": None, "tensors": []}
    for artifact in run["artifacts"]:
        artifact["identical"] = artifact["artifact"] != "predictions"
    assert standing(content)["First difference"].endswith("What differs: outputs.")


def nothing_varied() -> Report:
    content = certificates.reproducible()
    content["scope"]["variations"] = []
    return content


@pytest.mark.parametrize(
    ("make", "line", "said"),
    [
        (certificates.exhaustive, "Only if pinned",
         "intra-op threads, oneDNN, oneDNN ISA, TensorFlow seed"),
        (certificates.exhaustive, "Varied without effect", "CPU (Haswell)"),
        (nothing_varied, "Varied", "nothing"),
        (certificates.within_tolerance, "Largest difference",
         "2.4e-07; 3 ULP in weights, state and outputs"),
        (certificates.within_tolerance, "Tolerance", "at most 1e-06 and 4 ULP"),
    ],
)  # fmt: skip
def test_the_first_page_says_what_the_result_rests_on(
    make: Callable[[], Report], line: str, said: str
) -> None:
    assert said in standing(make())[line]


UNKNOWN: Any = {
    **{"commit": None, "changed": None, "inputs": [], "problem": "no git", "model": None}
}


def test_the_first_page_says_which_source_ran() -> None:
    content = certificates.reproducible()
    said = "cccccccccccc; changed: README.md; not committed inputs of the experiment: mine.yaml"
    assert f"Source {said}" in text_of(rendered(content))
    content["source"]["model"] = factories.REPOSITORY | {"changed": ["a", "b", "c", "d", "e"]}
    said = f"Model's source {factories.COMMIT[:12]}; changed: a, b, c and 2 more"
    assert said in text_of(rendered(content)).replace("’", "'").replace("&#39;", "'")
    content["source"] = UNKNOWN
    assert "Source unknown commit (no git)" in text_of(rendered(content))


# --- who signed, and who repeated it -----------------------------------------------------------


def links(made: certificates.Certificate) -> list[str]:
    """The chain on the first screen."""
    chain = certificate.render(made).partition('<ol class="chain"')[2].partition("</ol>")[0]
    return [text_of(f"<body>{link}") for link in chain.split("<li")[1:]]


def cautioned(change: Callable[[Report], Any]) -> Report:
    content = certificates.reproducible()
    change(content)
    return content


def opened(**files: Any) -> Callable[[Report], Any]:
    return lambda report: report["records"]["runs"]["control"]["files"].update(files)


def fact(what: str, value: str) -> Callable[[Report], Any]:
    return lambda report: report["scope"]["same"].append({"what": what, "value": value})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["scope"].update(cautions=["Not a number since step 4."]), "since step 4"),
        (lambda r: r["scope"].update(resumed={"replica": [2]}), "replica after epoch 2"),
        (lambda r: r["scope"].update(undeclared=["MINE"]), "the variable MINE (declare it"),
        (lambda r: r["scope"].update(left=["~/cache"]), "these files hold something else"),
        (lambda r: r["scope"].update(received="other data"), "What they received: other data"),
        (lambda r: r["source"].update(changed=["a.py"]), "changed: a.py"),
        (lambda r: r["source"].update(inputs=["b.yaml"]), "not committed inputs of the"),
        (opened(problem="no audit hooks"), "not all that the program opened are known: no audit"),
        (opened(read=[{"path": "/etc/x", "sha256": "e" * 64}]), "outside of the source /etc/x"),
        (fact("Python threads", "load (a.py)"), "threads beside the main one: load (a.py)"),
        (fact("GPU", "none"), "That the bits are the same elsewhere"),
        (lambda r: r["scope"].update(not_varied=["the moon"]), "which no run varied: the moon"),
        (lambda r: r["scope"].update(epochs={"trained": 2, "at_most": 9}), "2 of at most 9"),
    ],
)
def test_everything_that_limits_a_result_is_on_the_first_page(
    change: Callable[[Report], Any], said: str
) -> None:
    assert said in text_of(f"<body>{first_page(rendered(cautioned(change)))}")


def test_where_no_run_completed_nothing_is_said_of_what_the_steps_received() -> None:
    content = certificates.unsupported()
    content["scope"]["received"] = None
    assert "received" not in rendered(content)


def test_the_reasons_against_a_verdict_are_on_the_first_page_and_many_are_counted() -> None:
    content = certificates.inconclusive()
    content["reasons"] = [f"reason {number}." for number in range(20)]
    markup = rendered(content)
    assert first_page(markup).count("<li>reason ") == 8
    assert "12 more reasons are listed under Compared" in markup
    assert markup.count("reason 19.") == 1


def key(name: str) -> str:
    return certificates.key(name)[0][:16] + "…"


def test_the_chain_says_who_certified_and_who_reproduced_it_in_order() -> None:
    made = certificates.certificate(certificates.reproducible(), True, certificates.replays(3))
    reproduced = links(made)
    text = text_of(certificate.render(made))
    assert f"Signed by key SHA256 {key('issuer')} on 2026-11-23 12:00 UTC" in text
    assert f"✓ REPRODUCED by key {key('issuer')} (the issuer’s own)" in reproduced[0]
    assert f"✓ REPRODUCED by key {key('laboratory')} 2026-11-25 09:30 UTC" in reproduced[1]
    assert f"outside the scope: {certificates.OUTSIDE[0]}" in reproduced[1]
    assert f"✗ NOT REPRODUCED by key {key('reviewer')}" in reproduced[2]
    assert "on Intel(R) Core(TM) i7-4790 CPU @ 3.60GHz, Linux 5.15.0" in reproduced[2]
    assert "outside" not in reproduced[0]


def test_a_certificate_that_nobody_repeated_says_so() -> None:
    made = certificates.certificate(certificates.reproducible())
    assert "No replays yet" in links(made)[-1]
    assert 'id="replays"' not in certificate.render(made)


def test_a_replay_that_nobody_signed_is_called_unsigned() -> None:
    replays = [certificates.replay(1, issuer={"keyid": None})]
    made = certificates.certificate(certificates.reproducible(), True, replays)
    assert "✓ REPRODUCED, UNSIGNED" in links(made)[0]
    assert "signed UNSIGNED" in text_of(certificate.render(made))


def test_a_signed_replay_does_not_sign_the_certificate() -> None:
    text = text_of(rendered(certificates.reproducible(), signed=False, replays=2))
    assert "UNSIGNED, issued" in text
    assert "the issuer’s own" not in text
    keys = text.partition("Keys Anyone can put a key on a page.")[2]
    assert "signed replays alone" in keys
    assert "signed the certificate" not in keys


def test_of_many_replays_the_latest_are_in_the_chain_and_the_others_counted() -> None:
    made = certificates.certificate(
        certificates.reproducible(), True, [certificates.replay(i) for i in (2, 0, *range(5))]
    )
    earlier, *latest = links(made)
    assert "4 earlier replays: 1 NOT REPRODUCED, 3 REPRODUCED." in earlier
    assert len(latest) == 3
    assert "Replay 7: ✓ REPRODUCED" in text_of(certificate.render(made))


def test_keys_are_given_in_full_with_what_they_signed() -> None:
    text = text_of(rendered(certificates.reproducible(), replays=2))
    keyid, public = certificates.key("issuer")
    assert f"signed the certificate id of the key (SHA-256) {keyid}" in text
    assert f"Ed25519 public key {public}" in text
    assert "openssl pkey -pubin -in key.pub -outform DER | sha256sum" in text


@pytest.mark.parametrize("signed", [True, False])
def test_commands_can_be_copied_and_the_page_claims_no_check(signed: bool) -> None:
    markup = rendered(certificates.reproducible(), signed)
    commands = [html.unescape(c) for c in re.findall(r'<code class="command">(.*?)</code>', markup)]
    assert commands[:3] == [
        "./samebits verify certificate.json",
        "python3 scripts/verify.py certificate.json",
        "./samebits replay certificate.json",
    ]
    assert ("python3 scripts/verify.py certificate.json --key PUB" in commands) == signed
    assert ("This page does not verify the signature;" in markup) == signed


def test_a_replay_says_what_came_out_and_where_it_diverges() -> None:
    text = text_of(rendered(certificates.reproducible(), replays=3))
    same, other = text.partition("Replay 3: ✗ NOT REPRODUCED")[::2]
    assert f"Final weights ✓ identical {'2' * 64}" in same
    assert f"Final weights ✗ different expected {'2' * 64} got {'5bd1e995' * 8}" in other
    assert "The runs first differ at step 17" in other


def with_replay(number: int, **changes: Any) -> str:
    """The text of a page with one replay."""
    replays = [certificates.replay(number, **changes)]
    made = certificates.certificate(certificates.reproducible(), True, replays)
    return text_of(certificate.render(made))


def test_a_replay_that_ended_without_results_has_none() -> None:
    lost = {"artifact": "history", "expected": "1" * 64, "got": None, "identical": False}
    text = with_replay(2, artifacts=[lost], divergence=None)
    assert f"History ✗ missing expected {'1' * 64} got absent" in text


def test_a_divergence_without_curves_is_drawn_without_them() -> None:
    text = with_replay(2, divergence=divergence(curves=[]))
    assert "The runs first differ at step 17" in text


def test_of_many_replays_only_a_few_are_drawn() -> None:
    made = certificates.certificate(certificates.reproducible(), True, [certificates.replay(2)] * 5)
    markup = certificate.render(made)
    assert markup.count("How the difference of replay") == 3
    assert markup.count("The runs first differ at step 17 (epoch 1)") >= 5


# --- what was varied and compared --------------------------------------------------------------


def test_variations_are_listed_together_and_alone() -> None:
    text = text_of(rendered(certificates.dependent()))
    together, alone = text.partition("All together, in replica: ✗ different bits")[2].split(
        "One at a time, each in its own run"
    )
    assert "locale C.UTF-8 C together" in together
    assert alone.startswith(" nothing: identical conditions repeat ✓ same bits")
    assert "number of CPUs with-cpus 2 1 ✗ different bits" in alone
    assert "clock with-clock not shifted – ○ not tried faketime is not installed" in alone
    assert "locale with-locale C.UTF-8 C ✗ failed UnicodeDecodeError: cannot decode byte" in alone


def test_each_thing_that_was_varied_counts_once() -> None:
    """Not once more for the run in which all were varied, nor for a second run alone."""
    content = certificates.dependent()
    again = [v for v in content["scope"]["variations"] if v["run"] == "with-cpus"]
    content["scope"]["variations"] += [v | {"run": "with-cpus-2"} for v in again]
    what = {v["what"] for v in content["scope"]["variations"]}
    found = re.search(r"What was varied (.*?) Each run", text_of(rendered(content)))
    assert found
    counts = dict(part.split(": ") for part in found[1].split("; "))
    assert counts["failed"] == "1"  # the locale; number of CPUs and one CPU
    assert counts["different bits"] == "2"
    assert sum(map(int, counts.values())) == len(what)


def test_of_runs_with_other_bits_all_are_named_beside_a_metric() -> None:
    content = certificates.dependent()
    each = content["comparisons"][1]
    other = next(run for run in each["runs"] if run["run"] == "with-cpus")
    each["runs"].append(other | {"run": "with-cpus-2"})
    each["status"]["with-cpus-2"] = "completed"
    differing = factories.copied(content["histories"]["replica"])
    differing["metrics"]["loss"][-1] = 0.5
    for run in ("replica", "with-cpus", "with-cpus-2"):
        content["histories"][run] = differing
    content["records"]["runs"]["with-cpus-2"] = content["records"]["runs"]["with-cpus"]
    assert "<td>replica, with-cpus-2 and 1 more</td>" in first_page(rendered(content))


def test_where_no_python_thread_ran_their_timing_was_no_variation() -> None:
    content = certificates.dependent()
    (each,) = (c for c in content["comparisons"] if c["runs"][0]["run"] == "repeat")
    each["runs"].append(each["runs"][0] | {"run": "with-threads"})
    each["status"]["with-threads"] = "completed"
    record = factories.copied(content["records"]["runs"]["repeat"])
    record["variations"]["applied"] = {"threads": True}
    content["records"]["runs"]["with-threads"] = record
    assert "nothing: no Python thread ran with-threads ✓ same" in text_of(rendered(content))


def test_where_another_cpu_was_emulated_not_all_runs_had_the_same() -> None:
    """/proc/cpuinfo, which records of emulated runs quote, is the host's."""
    for content, said in ((certificates.reproducible(), True), (certificates.exhaustive(), False)):
        (elsewhere,) = (line for line in wording.limits(content) if "the same elsewhere" in line)
        assert ("CPU model" in elsewhere) is said


def test_of_refused_runs_none_is_compared() -> None:
    text = text_of(rendered(certificates.unsupported()))
    assert "What was compared no control completed; 1 unsupported" in text


def test_a_scalar_has_no_element_that_differs_first() -> None:
    content = certificates.dependent()
    run = next(run for run in content["comparisons"][1]["runs"] if run["run"] == "with-cpus")
    different = next(a["differences"][0] for a in run["artifacts"] if a["differences"])
    different |= {"shape": [], "first": [], "elements": 1, "different": 1}
    text = text_of(rendered(content))
    assert f"{different['dtype']} scalar 1 of 1 control" in text


def test_a_difference_says_nothing_when_nothing_repeats() -> None:
    content = certificates.dependent()
    content["scope"]["repeatable"] = False
    assert "says nothing about the variation" in rendered(content)


def test_pins_say_what_they_were_unpinned_to() -> None:
    content = certificates.exhaustive()
    settings = content["records"]["runs"]["without-isa"]["settings"]
    next(s for s in settings if s["name"] == "oneDNN ISA")["effective"] = "SSE41"
    text = text_of(rendered(content))
    assert "oneDNN ISA without-isa AVX2 SSE41 ◆ needed" in text
    assert "hash seed without-hash_seed 0 0 ◇ not needed" in text


def test_how_far_two_implementations_are_apart_is_on_the_first_page() -> None:
    content = certificates.exhaustive()
    tensors = [
        {"name": n, "largest": 2.0, "apart": apart} for n, apart in (("a", 0.5), ("b", 1e-6))
    ]
    content["records"]["runs"]["without-onednn"]["another"] = {"tensors": tensors, "failure": None}
    said = "2 gradients of one step differ by at most 0.2 of the largest number of each"
    assert f"With and without oneDNN {said}" in text_of(rendered(content))


def test_what_onednn_made_is_listed_and_what_a_run_made_otherwise_is_named() -> None:
    content = certificates.exhaustive()
    runs = content["records"]["runs"]

    def made(*shapes: str) -> Any:
        one = {"kind": "convolution", "implementation": "<jit>", "direction": "forward"}
        return {
            "isa": "AVX2",
            "threads": 1,
            "more": 0,
            "made": [one | {"shape": s} for s in shapes],
        }

    for record in runs.values():
        record["primitives"] = made("mb1", "mb2")
    assert "All runs on the same data made the same." in text_of(rendered(content))
    runs["without-isa"]["primitives"] = runs["cpu-EPYC"]["primitives"] = made("mb3")
    text = text_of(rendered(content))
    assert "convolution <jit> forward mb2" in text and "Only in" not in text
    runs["replica"]["primitives"] = made("mb1", "mb3")
    text = text_of(rendered(content))
    assert "Only in control: convolution <jit> forward mb2." in text
    assert "Only in replica: convolution <jit> forward mb3." in text


def test_beside_each_primitive_stands_what_drawn_shapes_showed_of_it() -> None:
    content = certificates.exhaustive()
    content["records"]["runs"]["control"]["primitives"] = atlases.PRIMITIVES
    assert "Other bits" not in text_of(rendered(content))
    content["comparisons"][0]["primitives"] = atlases.quoted()
    text = text_of(rendered(content))
    assert "gemm:jit forward mb1 1 of 10, this one too" in text
    assert "gemm:jit forward mb2 1 of 10 convolution" in text
    assert "brg:avx2 forward mb1 0 of 10" in text and "new forward mb1 not tried" in text


def test_runs_with_equal_bits_are_one_row_and_one_chart() -> None:
    content = certificates.exhaustive()
    for comparison in content["comparisons"]:
        for run in comparison["runs"]:
            run |= {"identical": False, "divergence": divergence()}
    runs = compared.compared(content)
    tried = [run for run in runs if run.tried]
    groups = compared.groups(runs)
    assert sum(map(len, groups)) == len(tried) < len(runs)
    assert groups[0][0].run == "repeat"  # with the fewest variations
    assert [group[0].control for group in compared.drawn(runs)] == ["control", "subset-control"]
    drawn, listed = compared.divergences(runs)
    assert (len(drawn), len(listed)) == (compared.MOST_DRAWN, 1)
    assert rendered(content).count("How the difference of") == compared.MOST_DRAWN


def test_each_digest_is_there_once_with_the_runs_that_have_it() -> None:
    found = {
        a["title"]: a for a in compared.artifacts(compared.compared(certificates.exhaustive()))
    }
    ((_, runs, expected),) = found["History"]["digests"]
    assert (runs, expected) == ("control, replica and 25 more", True)
    of_weights = found["Final weights"]  # 4 of them with a pin less
    assert of_weights["state"] == "identical"
    assert [expected for *_, expected in of_weights["digests"]] == [True, True]
    found = {a["title"]: a for a in compared.artifacts(compared.compared(certificates.dependent()))}
    assert found["Final weights"]["state"] == "missing"  # of the run that failed
    assert [expected for *_, expected in found["Final weights"]["digests"]] == [True, False, False]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (certificates.reproducible, "2 of 2 runs equal"),
        (certificates.dependent,
         "19 of 29 runs equal; 3 different; 1 failed; 2 not tried; 4 different when unpinned"),
        (certificates.within_tolerance, "no run equals its control; 1 different"),
    ],
)  # fmt: skip
def test_runs_are_counted(make: Callable[[], Report], said: str) -> None:
    assert compared.counted(compared.compared(make())) == said


@pytest.mark.parametrize(
    ("dtype", "ulp", "said"),
    [
        ("F32", 3, "3 ULP"),
        ("F64", 161 << 29, "161 ULP of float32"),  # Keras computed it as float32
        ("F64", (161 << 29) + 1, "86,436,216,833 ULP of float64"),
        ("F64", None, ""),
    ],
)
def test_a_difference_is_in_steps_of_what_was_computed(
    dtype: str, ulp: int | None, said: str
) -> None:
    content = certificates.within_tolerance()
    (run,) = compared.compared(content)
    run.result["artifacts"][1]["differences"][0] |= {"dtype": dtype, "largest_ulp": ulp}
    assert compared.differences([run])[0][0]["ulp"] == said


def test_of_many_differences_the_first_are_shown_and_the_rest_counted() -> None:
    content = certificates.within_tolerance()
    weights = content["comparisons"][0]["runs"][0]["artifacts"][1]
    weights["differences"] *= compared.MOST_DIFFERENCES
    shown, more = compared.differences(compared.compared(content))
    assert len(shown) == compared.MOST_DIFFERENCES
    assert more == len(weights["differences"]) - compared.MOST_DIFFERENCES


def test_a_pin_that_was_not_in_effect_is_named_with_its_run() -> None:
    content = certificates.inconclusive()
    content["records"]["runs"]["control"]["settings"][0]["effective"] = 5
    assert "✗ not as pinned in control" in rendered(content)


# --- layer attribution -------------------------------------------------------------------------


def attributed(*names: str, layers: Any = ..., executed: bool = True) -> str:
    """The page of a certificate that depends on the CPU."""
    made = KINDS["Not reproducible"]()
    block = certificates.attribution(*names)
    certificates.attribute(made, "cpu-EPYC", block if layers is ... else block | {"layers": layers})
    if not executed:
        made["records"]["runs"]["cpu-EPYC"]["model"] = None
    assert not list(schema.violations(made, schema.REPORT))
    return text_of(rendered(made))


def test_what_depends_on_the_cpu_is_a_table_beside_the_divergence() -> None:
    text = attributed()
    assert "norm BatchNormalization Rsqrt float32 step 17" in text
    assert "act Activation Erfc float32 no tensor of its own" in text
    assert text.index("cpu-EPYC against subset") < text.index("norm BatchNormalization")
    assert "SHA-256 of the atlas: a71a5" in text


def test_of_many_layers_the_first_are_shown_and_the_rest_counted() -> None:
    text = attributed(*(f"layer_{i:02}" for i in range(15)))
    assert "layer_11" in text
    assert "layer_12" not in text
    assert "certificate.json lists 3 more" in text


def test_why_the_atlas_names_no_layer_is_said() -> None:
    assert "the cause is something else" in attributed(layers=[])
    assert "the atlas does not cover TensorFlow 2.21.0" in attributed(layers=None)
    assert "the kernels that the run executed are unknown" in attributed(
        layers=None, executed=False
    )


def test_a_run_without_attribution_has_no_word_of_an_atlas() -> None:
    assert "atlas" not in text_of(rendered(KINDS["Reproducible, exhaustive"]()))


def test_what_the_comparison_can_detect() -> None:
    text = text_of(rendered(certificates.exhaustive()))
    assert (
        "✓ Yes. The training was begun again in the process of replica, with one change at the "
        "beginning: the lowest bit of 24 elements of dense/kernel was flipped, of each that is not "
        "zero. No seed can undo that. It differs from control after step 1 (dense/kernel and "
        "dense/bias) and step 5 (dense/kernel and dense/bias)." in text
    )
    assert "Trace subset-control dense/kernel, element [6] ✓ detected" in text
    blind = text_of(rendered(certificates.inconclusive()))
    assert "Final weights control dense/bias, element [2] ✗ not detected" in blind


# --- first divergence -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "The runs first differ at step 17 (epoch 1), in dense/kernel."),
        ({}, "The losses differ from epoch 1 on."),
        (
            {"after": 12},
            "The runs first differ between steps 12 and 17 (epoch 1), in dense/kernel.",
        ),
        ({"after": None}, "The runs first differ at step 17 (epoch 1) or before, in dense/kernel."),
        ({"batch_step": 3}, "They received different batches from step 3 on."),
        ({"loss_epoch": None}, "The losses of all epochs are equal."),
        ({"step": 0, "epoch": None}, "The runs differ before the first step, in dense/kernel."),
        (
            {"step": None, "tensors": []},
            "The weights are equal at every step that both traces have.",
        ),
        ({"tensors": [*TENSORS, "x", "y"]}, "dense/kernel, dense/bias and 2 more."),
        ({"every": "off"}, "Traced were the first weights, and those after the first call"),
    ],
)
def test_where_runs_diverge_in_a_sentence(changes: Any, said: str) -> None:
    content = certificates.within_tolerance()
    content["comparisons"][0]["runs"][0]["divergence"] = divergence(**changes)
    assert said in text_of(rendered(content))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "at step 17"),
        ({"after": 12}, "between steps 12 and 17"),
        ({"after": None}, "at step 17 or before"),
        ({"step": 0, "epoch": None, "after": None}, "before the first step"),
    ],
)
def test_the_chart_marks_the_step_that_the_sentence_names(changes: Any, said: str) -> None:
    content = certificates.within_tolerance()
    content["comparisons"][0]["runs"][0]["divergence"] = divergence(**changes)
    markup = rendered(content)
    (mark,) = re.findall(r'<text class="mark"[^>]*>(.*?)</text>', markup)
    assert mark == said
    (line,) = re.findall(r"<p><strong>(The runs .*?)</strong>", markup)
    assert all(word in line.replace(" (epoch 1)", "") for word in mark.split())


def test_several_names_are_said_as_a_person_would() -> None:
    assert certificate.said(["rsqrt", "erfc"]) == "rsqrt, erfc"
    assert certificate.said([]) == "none"
    assert certificate.said([1, 2]) == "[1, 2]"


# --- the page as a whole -----------------------------------------------------------------------


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = rendered(certificates.dependent(), replays=3)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(r'<(script|link|iframe|object|img)|\bsrc=|href="[^#]|url\(|@import', text)


def test_names_that_a_certificate_uses_as_keys_are_escaped() -> None:
    content = certificates.reproducible()
    content["experiment"]["config"]["model"][HOSTILE] = 1
    for history in content["histories"].values():
        values = next(iter(history["metrics"].values()))
        history["metrics"] |= {HOSTILE: values, f"val_{HOSTILE}": values}
    text = rendered(content)
    assert "<script" not in text
    assert text.count(html.escape(HOSTILE)) == text.count("alert(") > 3


def test_the_page_names_the_certificate_that_it_was_made_from() -> None:
    content = certificates.reproducible()
    assert canonical.digest(certificates.certificate(content)) in rendered(content)


def test_the_page_says_how_to_repeat_it_from_the_commit_on() -> None:
    content = certificates.reproducible()
    commands = f"git checkout {content['source']['commit']}\nmake certificate"
    assert commands in rendered(content)
    content["source"] = UNKNOWN
    assert "git checkout" not in rendered(content)
    assert ">make certificate" in rendered(content)


def test_the_page_shows_where_runs_differ() -> None:
    text = rendered(certificates.within_tolerance())
    assert re.search(r"dense/kernel.*first at \[0, 3\].*3 ULP", text, re.DOTALL)


def test_a_replay_that_would_be_refused_is_not_offered() -> None:
    for signed in (True, False):
        page = rendered(certificates.unsupported(), signed)
        assert "samebits replay" not in page
        assert "No replays: its control run has no results to compare with." in page
        assert "samebits replay" in rendered(certificates.reproducible(), signed)
