#!/bin/bash
#SBATCH --job-name=autochrome-report
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=00:30:00
#SBATCH --open-mode=append
#SBATCH --output=autochrome-report-%j.out
# Reports on all shards of slurm-array.sh, which see. It says which of them are to be submitted again, and how.

set -euo pipefail

archive=${AUTOCHROME_ARCHIVE:-/srv/archive}

code=0
colorize-archive "$archive/scans" \
    --config "$archive/autochrome.toml" \
    --report-only \
    --log "$archive/logs/report.jsonl" \
    --metrics "$archive/logs/autochrome.prom" || code=$?

case $code in
    3) echo "Not all is done: see report.html beside the results, and above which shards to submit again (sbatch --array=...)." ;;
    *) exit "$code" ;;
esac
