"""Results described for other programs: RO-Crate and SBOM."""
