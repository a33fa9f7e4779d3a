#!/usr/bin/env bash
# Evaluate under slurm, one task per GPU.
#   GPUS, GPUS_PER_NODE, CPUS_PER_TASK   as in MMDetection (defaults: 8, 8, 5; in a job of slurm's: those of the job)
#   GPUS_PER_NODE=0                      on the CPU: GPUS processes, wherever slurm puts them
#   SRUN_ARGS, PY_ARGS                   more options of srun and of test.py
#   PYTHON                               the interpreter (default: python)
set -euo pipefail

if [ "$#" -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
checkpoint=$4
shift 4

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ ! -f "$here/test.py" ]; then
    echo "$0: no test.py beside it (sbatch runs a copy): start it in a batch script, with bash tools/slurm_test.sh" >&2
    exit 2
fi
gpus_per_node=${GPUS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-8}}
resources=()
if [ "$gpus_per_node" != 0 ]; then
    resources=(--gres="gpu:$gpus_per_node" --ntasks-per-node="$gpus_per_node")
fi

export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
# SRUN_ARGS and PY_ARGS hold several words each.
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job_name" ${resources[@]+"${resources[@]}"} \
    --ntasks="${GPUS:-${SLURM_NTASKS:-8}}" --cpus-per-task="${CPUS_PER_TASK:-${SLURM_CPUS_PER_TASK:-5}}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$here/test.py" "$config" "$checkpoint" --launcher=slurm ${PY_ARGS:-} "$@"
