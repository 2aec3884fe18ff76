#!/bin/bash
#SBATCH --job-name=autochrome
#SBATCH --array=1-16
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=autochrome-%A-%a.out
# Submit it from a folder that all nodes see, and what reports on all shards when they have ended, however they did:
#   job=$(sbatch --parsable slurm-array.sh) && sbatch --dependency=afterany:$job slurm-report.sh
# Ten minutes before its time is over a job is asked to stop; submit the array again and it resumes. A job that its node
# took down is queued again and adds to its output.

set -euo pipefail

# As many as the array has. Not SLURM_ARRAY_TASK_COUNT: it is smaller when only some shards are submitted again.
shards=16
archive=${AUTOCHROME_ARCHIVE:-/srv/archive}

mkdir -p "$archive/logs"
# Before the program starts: a signal may come as soon as it runs.
trap 'kill -TERM $!' TERM
colorize-archive "$archive/scans" \
    --config "$archive/autochrome.toml" \
    --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --log "$archive/logs/shard-$SLURM_ARRAY_TASK_ID.jsonl" \
    --no-report --quiet &
program=$!

# A signal ends the wait, not the program.
code=0
wait "$program" || code=$?
while kill -0 "$program" 2>/dev/null; do
    code=0
    wait "$program" || code=$?
done

case $code in
    3) echo "Done, but some files cannot be coloured: the report names them." ;;
    75) echo "Another run is at work on this shard." ;;
    143) echo "Stopped in order, before all was done: submit the array again and it resumes." ;;
    *) exit "$code" ;;
esac
