#!/usr/bin/env bash
# Train in several processes: one per GPU, or on the CPU where there is no GPU.
#   NNODES, NODE_RANK, MASTER_ADDR, PORT   for several machines, as in MMDetection
#   PYTHON                                 the interpreter (default: python)
set -euo pipefail

if [ "$#" -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
# What to type again, for the hint of a run that ends early.
unset MMDIST_AGAIN
words=()
for name in NNODES NODE_RANK MASTER_ADDR PORT PYTHON CUDA_VISIBLE_DEVICES OMP_NUM_THREADS "${!MMDIST_@}"; do
    [ -z "${!name+set}" ] || words+=("$name=${!name}")
done
words=(${words[@]+env "${words[@]}"} bash "$0" "$@")
# Python's own quoting: it is read by Python, and %q writes what only bash reads.
quoted=$("${PYTHON:-python}" -c 'import shlex, sys; print(shlex.join(sys.argv[1:]))' "${words[@]}" 2> /dev/null) || quoted=
[ -z "$quoted" ] || export MMDIST_AGAIN="$quoted"
config=$1
gpus=$2
shift 2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python}
nnodes=${NNODES:-1}
if [ -z "${PORT:-}" ]; then
    PORT=29500
    if [ "$nnodes" = 1 ]; then # several runs on one machine must not meet
        PORT=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    fi
fi

export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m torch.distributed.run \
    --nnodes="$nnodes" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$PORT" \
    "$here/train.py" "$config" --launcher pytorch "$@"
