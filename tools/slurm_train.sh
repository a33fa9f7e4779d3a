#!/usr/bin/env bash
# Train under slurm, one task per GPU.
#   GPUS, GPUS_PER_NODE, CPUS_PER_TASK   as in MMDetection (defaults: 8, 8, 5; in a job of slurm's: those of the job)
#   GPUS_PER_NODE=0                      on the CPU: GPUS processes, wherever slurm puts them
#   SRUN_ARGS, PY_ARGS                   more options of srun and of train.py
#   PYTHON                               the interpreter (default: python)
# Started by sbatch, it requeues its job when the run was told to stop and has saved a checkpoint (USR1; code 75), unless
# the job is not to be requeued. A job that starts again goes on from the latest checkpoint.
set -euo pipefail

if [ "$#" -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]" >&2
    exit 2
fi
# Words as a shell takes them, and Python, which reads them too; %q writes what only bash reads, so of é in the C locale.
quote() {
    local mark="'" word rest quoted
    for word in "$@"; do
        quoted=$word
        if [[ -z $word || $word == *[^A-Za-z0-9_./:,=@%+-]* ]]; then
            quoted=$mark rest=$word
            while [[ $rest == *"$mark"* ]]; do
                quoted+=${rest%%"$mark"*}"'\\''"
                rest=${rest#*"$mark"}
            done
            quoted+=$rest$mark
        fi
        printf '%s ' "$quoted"
    done
}
# What to type again, for the hint of a run that ends early; a batch job is started by another command.
unset MMDIST_AGAIN
if [ "${ENVIRONMENT:-}" != BATCH ]; then
    words=()
    for name in GPUS GPUS_PER_NODE CPUS_PER_TASK SRUN_ARGS PY_ARGS PYTHON OMP_NUM_THREADS "${!MMDIST_@}"; do
        [ -z "${!name+set}" ] || words+=("$name=${!name}")
    done
    MMDIST_AGAIN=$(quote ${words[@]+env "${words[@]}"} bash "$0" "$@")
    export MMDIST_AGAIN=${MMDIST_AGAIN% }
fi
partition=$1
job_name=$2
config=$3
work_dir=$4
shift 4

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ ! -f "$here/train.py" ]; then
    echo "$0: no train.py beside it (sbatch runs a copy): start it in a batch script, with bash tools/slurm_train.sh" >&2
    exit 2
fi
gpus_per_node=${GPUS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-8}}
resources=()
if [ "$gpus_per_node" != 0 ]; then
    resources=(--gres="gpu:$gpus_per_node" --ntasks-per-node="$gpus_per_node")
fi

export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
# SRUN_ARGS and PY_ARGS hold several words each.
# shellcheck disable=SC2206
run=(srun -p "$partition" --job-name="$job_name" ${resources[@]+"${resources[@]}"} \
    --ntasks="${GPUS:-${SLURM_NTASKS:-8}}" --cpus-per-task="${CPUS_PER_TASK:-${SLURM_CPUS_PER_TASK:-5}}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$here/train.py" "$config" --work-dir="$work_dir" --launcher=slurm ${PY_ARGS:-} "$@")

if [ "${ENVIRONMENT:-}" != BATCH ] || [ -z "${SLURM_JOB_ID:-}" ]; then # not started by sbatch
    exec "${run[@]}"
fi
if [ "${SLURM_RESTART_COUNT:-0}" != 0 ]; then
    run+=(--resume)
fi

"${run[@]}" &
step=$!
# --signal=B:USR1@120 reaches this shell alone; srun passes the signal on. SIGTERM reaches all processes by itself: this
# shell only has to stay until they have saved.
trap 'interrupted=1; kill -USR1 "$step" 2> /dev/null || true' USR1
trap 'interrupted=1' TERM
interrupted=1
while [ "$interrupted" = 1 ]; do # a signal ends `wait`, not the step
    interrupted=0
    code=0
    wait "$step" || code=$?
done

if [ "$code" = 75 ]; then
    # In a job array SLURM_JOB_ID can stand for the whole array.
    job=$SLURM_JOB_ID
    if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
        job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
    fi
    state=" $(scontrol show job -o "$job") " || true
    # Not one that was cancelled, or that slurm is ending or requeueing itself.
    if [[ $state == *" JobState=RUNNING "* && $state == *" Requeue=1 "* ]]; then
        echo "$0: saved; job $job is requeued and will go on from the checkpoint"
        scontrol requeue "$job"
    fi
fi
exit "$code"
