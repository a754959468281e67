#!/bin/sh
#SBATCH --job-name=streameval-merge
#SBATCH --mem=1G
#SBATCH --time=00:05:00
#
# The shards of slurm_shards.sh as one report; ends with 7 and the rows if a shard is missing.
set -eu
streameval merge "$OUT"/shard-*.json --json > "$OUT/report.part"
mv "$OUT/report.part" "$OUT/report.json"
