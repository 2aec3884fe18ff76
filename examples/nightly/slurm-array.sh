#!/bin/bash
#SBATCH --job-name=autochrome
#SBATCH --array=1-16
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --output=autochrome-%A-%a.out
# Ten minutes before its time is over a job is told to stop; submit the array again and it goes on.

set -euo pipefail

# As many as the array has. Not SLURM_ARRAY_TASK_COUNT: it is smaller when only some parts are submitted again.
parts=16

exec colorize-archive /archive/scans \
    --output /archive/scans-colorized \
    --shard "${SLURM_ARRAY_TASK_ID}/${parts}" \
    --log "/archive/logs/shard-${SLURM_ARRAY_TASK_ID}.jsonl" \
    --keep-free 50GB \
    --no-report
