"""The parts of scripts/bench: where what is measured lives (host, image), what is compared (targets), what is
done (filesystem, large, scale, tools), and what becomes of the figures (rounds, report, plots)."""
