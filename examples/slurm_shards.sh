#!/bin/sh
#SBATCH --job-name=streameval
#SBATCH --array=0-15
#SBATCH --cpus-per-task=4
#SBATCH --mem=1G
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@30
#
# An evaluation as a Slurm array, one shard for each task:
#
#   export MODEL=model.safetensors DATA=/shared/train.arrow OUT=/shared/out
#   array=$(sbatch --parsable examples/slurm_shards.sh)
#   sbatch --dependency=afterok:$array examples/slurm_merge.sh
#
# A task that is killed or runs out of time goes on from its checkpoint when it is queued again, alone too:
#
#   sbatch --array=3 examples/slurm_shards.sh
set -eu
# As many as the array has. Not SLURM_ARRAY_TASK_COUNT: that is 1 for a task that is queued again alone.
shards=${SHARDS:-16}
mkdir -p "$OUT"
# In the place of this shell, so that the signal reaches it.
exec streameval evaluate "$MODEL" "$DATA" \
    --shard "$SLURM_ARRAY_TASK_ID/$shards" --state "$OUT/shard-$SLURM_ARRAY_TASK_ID.json" \
    --checkpoint "$OUT/shard-$SLURM_ARRAY_TASK_ID.checkpoint" \
    --threads "$SLURM_CPUS_PER_TASK" --max-memory 512M \
    --events "$OUT/shard-$SLURM_ARRAY_TASK_ID.events" > /dev/null
