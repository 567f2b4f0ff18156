"""Pictures of distributions and series, as text: SVG without scripts, for console, notebooks and reports alike."""
