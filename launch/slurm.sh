#!/usr/bin/env bash
#SBATCH --job-name=tfdistill
#SBATCH --signal=TERM@120
# Runs a command of tfdistill as a Slurm job, one process for each GPU.
#
# One node with 8 GPUs:
#   sbatch --nodes=1 --ntasks-per-node=8 --gpus-per-node=8 \
#     launch/slurm.sh distill --flagfile=configs/wiki.flags
#
# Four nodes with 8 GPUs each:
#   sbatch --nodes=4 --ntasks-per-node=8 --gpus-per-node=8 \
#     launch/slurm.sh distill --flagfile=configs/wiki.flags
#
# Submit it from the root of the repository. All arguments go to the command.
# Two minutes before its time is over the job saves a checkpoint and stops;
# submitted again, it goes on. Settings, from the environment:
#   PYTHON        .venv/bin/python
#   MPI_TYPE      how srun starts MPI processes: pmix (srun --mpi=list)
#   SRUN_OPTIONS  more options of srun
#   DRY_RUN=1     prints the command line instead of running it
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"

fail() { echo "slurm.sh: $*" >&2; exit 2; }
[ $# -gt 0 ] || fail "Which command? For instance: sbatch --ntasks-per-node=8 launch/slurm.sh distill --flagfile=configs/wiki.flags"
[ -d tfdistill ] || fail "$PWD is not the root of the repository: submit the job from there."

PYTHON=$(realpath -s "${PYTHON:-.venv/bin/python}")
read -ra more <<<"${SRUN_OPTIONS:-}"
command=(srun "--mpi=${MPI_TYPE:-pmix}" --kill-on-bad-exit=1 --cpu-bind=none "${more[@]}"
  "$PYTHON" -m "tfdistill.$1" "${@:2}")

if [ "${DRY_RUN:-0}" = 1 ]; then
  printf '%q ' "${command[@]}"
  echo
  exit
fi
command -v srun >/dev/null || fail "There is no srun here: submit this file with sbatch."
exec "${command[@]}"
