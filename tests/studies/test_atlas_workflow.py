"""The atlas as part of the workflow: asked for by name, every condition once."""

from pipeline import DRY, ROOT, Workspace, jobs

ATLAS = ("--snakefile", str(ROOT / "studies" / "atlas" / "Snakefile"))


def test_the_atlas_asks_for_every_tensorflow_cpu_and_setting(workspace: Workspace) -> None:
    counts = jobs(workspace.snakemake(*ATLAS, *DRY))
    assert counts["battery"] == 4
    assert counts["probe"] == 32
    assert counts["draw"] == 2 * (20 * 2 * 3 + 2 * 2)  # 10,000 shapes; the first 500 emulated, too
    assert counts["judge"] == counts["atlas"] == 1
    assert "train" not in counts


def test_a_probe_is_started_on_its_cpu_with_its_settings(workspace: Workspace) -> None:
    """Flags and variables of the command agree with the folder that it writes."""
    said = workspace.snakemake(*ATLAS, "--dry-run", "--printshellcmds")
    commands = [line for line in said.splitlines() if "atlas/run_probe.py" in line]
    assert len(commands) == 32
    for command in commands:
        framework, onednn, isa, cpu = command.rpartition("results/atlas/")[2].split("/")
        assert f"train-{framework}/bin/python" in command
        assert f"TF_ENABLE_ONEDNN_OPTS={onednn.removeprefix('onednn-')} " in command
        assert f"--battery results/atlas/{framework}/{onednn}/battery" in command
        assert command.count("MAX_CPU_ISA=AVX2") == (2 if isa == "capped" else 0)
        assert ("--vary" in command) == (cpu != "native")
        assert cpu == "native" or f"--vary cpu={cpu} " in command


def test_shapes_are_computed_on_their_cpu_with_their_threads(workspace: Workspace) -> None:
    """Flags of the command agree with the file that it writes."""
    few = {"DRAWN": "500"}
    said = workspace.snakemake(*ATLAS, "--dry-run", "--printshellcmds", variables=few)
    commands = [line for line in said.splitlines() if "atlas/run_drawn.py" in line]
    assert len(commands) == 20
    for command in commands:
        kernels, name = command.rpartition("results/atlas/drawn/")[2].split("/")
        _, threads, cpu, *cpuid = name.strip("'").removesuffix(".jsonl").split("-")
        assert f" --first 0 --count 500 --threads {threads} " in command
        assert ("--replaced" in command) == (kernels == "replaced")
        assert (f" --disguise {cpu} " in command) == bool(cpuid)
        assert (f" --vary cpu={cpu} " in command) == (cpu != "native" and not cpuid)


def test_a_certificate_asks_for_no_probe(workspace: Workspace) -> None:
    counts = jobs(workspace.snakemake(*DRY))
    assert counts["certify"] == 1
    assert not {"battery", "probe", "draw", "judge", "atlas"} & set(counts)
